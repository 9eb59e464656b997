/* The text form: what writer and reader share, and the reader's lexer. Private to ir. */
#ifndef CYG_IR_TEXT_H
#define CYG_IR_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/ctx.h"

enum {
    CYG_TEXT_INLINE = 16,         /* constants of at most so many elements are written out */
    CYG_TEXT_MAX_ZEROS = 1 << 28, /* largest constant that is given as hash and size, bytes */
};

/* A character of value names that need no quotes. */
bool cyg_text_is_bare(char c);
/* A letter or '_' first, then letters, digits, '_'; not empty. */
bool cyg_text_is_word(const char *s);

typedef enum cyg_token_kind {
    CYG_TOKEN_END,
    CYG_TOKEN_WORD,   /* text: letters, digits, '_' */
    CYG_TOKEN_NUMBER, /* text: as written; words inf and nan are numbers, too, to the parser */
    CYG_TOKEN_STRING, /* text: unescaped */
    CYG_TOKEN_VALUE,  /* text: the name after % */
    CYG_TOKEN_HEX,    /* x"...": text are the digits */
    CYG_TOKEN_HASH,   /* #0123456789abcdef */
    CYG_TOKEN_MARK,   /* one character: text[0] */
} cyg_token_kind;

typedef struct cyg_lexer {
    cyg_ctx *ctx;
    const char *file;
    const char *text;
    size_t len, at;
    cyg_arena *scratch; /* token texts */
    /* the current token */
    cyg_token_kind kind;
    const char *token; /* NUL-terminated */
    size_t token_len;
    size_t token_at;
} cyg_lexer;

/* Moves to the next token. CYG_E_FORMAT with file:line:col on a character that begins none. */
cyg_status cyg_lexer_next(cyg_lexer *x) CYG_MUST_USE;
/* An error at the current token: "file:line:col: expected <what>, found <token>". */
cyg_status cyg_lexer_expected(cyg_lexer *x, const char *what);
/* An error at the current token with a text of its own. */
cyg_status cyg_lexer_error(cyg_lexer *x, const char *fmt, ...) CYG_PRINTF(2, 3);

#endif
