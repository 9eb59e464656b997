/* A pickle as inert values: what torch.save wrote, without running any of it.
 *
 * Values are rows of one table and name each other by row number, so a value that a pickle uses a
 * thousand times exists once. Nothing is imported, called or constructed: a REDUCE of a known torch
 * function leaves a TENSOR row with its arguments, any other leaves an OPAQUE row that remembers
 * who would have made it, from what and with which state. Memory is at most a hundred times the
 * pickle's size, whatever the pickle says. Internal to io; one thread. */
#ifndef CYG_IO_UNPICKLE_H
#define CYG_IO_UNPICKLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/status.h"
#include "base/type.h"

enum { CYG_PICKLE_LARGEST = 16 << 20 };

typedef enum cyg_pickle_kind {
    CYG_PICKLE_NONE,
    CYG_PICKLE_BOOL,
    CYG_PICKLE_INT, /* fits int64; larger ones are opaque */
    CYG_PICKLE_FLOAT,
    CYG_PICKLE_TEXT,
    CYG_PICKLE_BYTES,
    CYG_PICKLE_TUPLE,
    CYG_PICKLE_LIST,
    CYG_PICKLE_DICT, /* items: key, value, key, value ... */
    CYG_PICKLE_SET,
    CYG_PICKLE_GLOBAL,  /* a = module, b = name (TEXT rows) */
    CYG_PICKLE_STORAGE, /* a = the tuple of the persistent id */
    CYG_PICKLE_TENSOR,  /* a = the arguments, a tuple; global = the function */
    CYG_PICKLE_OPAQUE,  /* a = what would have made it, from = its arguments, b = the state that it
                           was given last; 0 = not known */
} cyg_pickle_kind;

/* What a known global is to us. */
typedef enum cyg_pickle_role {
    CYG_PICKLE_UNKNOWN,
    CYG_PICKLE_INERT, /* known and of no use here: no reason to name it */
    CYG_PICKLE_MAKES_DICT,
    CYG_PICKLE_MAKES_SIZE,
    CYG_PICKLE_MAKES_PARAMETER, /* hands its first argument on */
    CYG_PICKLE_MAKES_TYPED,     /* (function, class, arguments, state) */
    CYG_PICKLE_MAKES_TENSOR,    /* (storage, offset, size, stride ...) */
    CYG_PICKLE_MAKES_TENSOR_3,  /* (storage, offset, size, stride, _, _, dtype ...) */
    CYG_PICKLE_STORAGE_CLASS,
    CYG_PICKLE_BYTE_STORAGE_CLASS, /* untyped: counted in bytes */
    CYG_PICKLE_DTYPE,
    CYG_PICKLE_MAKES_ARRAY,      /* NumPy's, opaque here: npy_dict.c reads arguments and state */
    CYG_PICKLE_MAKES_ARRAY_TYPE, /* likewise */
    CYG_PICKLE_ARRAY_CLASS,
} cyg_pickle_role;

typedef struct cyg_pickle_global {
    const char *module, *name;
    cyg_pickle_role role;
    cyg_type type; /* of a storage class or dtype; NONE = one that cygnet has no type for */
} cyg_pickle_global;

/* Row 0 is the unknown one. */
extern const cyg_pickle_global cyg_pickle_globals[];

typedef struct cyg_pickle_span cyg_pickle_span;
struct cyg_pickle_span {
    cyg_pickle_span *next;
    uint32_t count;
    uint32_t items[];
};

typedef struct cyg_pickle_value {
    uint8_t kind;      /* cyg_pickle_kind */
    bool holds_tensor; /* a tensor or storage lies in it */
    bool seen;         /* for walks over the containers */
    uint8_t global;    /* GLOBAL, TENSOR: row of cyg_pickle_globals */
    uint32_t count;    /* items of a container, bytes of a text */
    union {
        bool boolean;
        int64_t integer;
        double number;
        const char *text;       /* TEXT, BYTES: lent by the pickle, no NUL behind it */
        cyg_pickle_span *first; /* containers; a tuple has all in one span */
        struct {
            uint32_t a, from;
        };
    };
    union {
        cyg_pickle_span *last;
        uint32_t b;
    };
} cyg_pickle_value;

typedef struct cyg_pickle {
    cyg_arena arena;
    cyg_pickle_value *values; /* heap; row 0 is None */
    uint32_t count, cap;
    uint32_t root;
    size_t used; /* bytes up to and with STOP */
} cyg_pickle;

/* How much of a pickle is read. Few instructions over many bytes are large texts, which are lent
 * and cost nothing: memory then follows the instructions. */
typedef struct cyg_pickle_limits {
    size_t bytes; /* below 2^32 */
    size_t instructions;
} cyg_pickle_limits;

/* Reads one pickle from the front of data, which must outlive the result; at most
 * CYG_PICKLE_LARGEST bytes. name is for messages. out_pickle is to be deinitialised in any case. */
cyg_status cyg_unpickle(cyg_ctx *ctx, const char *name, const void *data, size_t size,
                        cyg_pickle *out_pickle) CYG_MUST_USE;
cyg_status cyg_unpickle_within(cyg_ctx *ctx, const char *name, const void *data, size_t size,
                               const cyg_pickle_limits *limits,
                               cyg_pickle *out_pickle) CYG_MUST_USE;
void cyg_pickle_deinit(cyg_pickle *pickle);

CYG_INLINE const cyg_pickle_value *cyg_pickle_at(const cyg_pickle *p, uint32_t id)
{
    return &p->values[id];
}
/* Item i of a tuple; None (row 0) when it has fewer or is none. */
uint32_t cyg_pickle_item(const cyg_pickle *p, uint32_t tuple, uint32_t i);
bool cyg_pickle_text_is(const cyg_pickle_value *v, const char *text);
/* "module.name" of a GLOBAL, or of what made an OPAQUE; unprintable characters as '?', cut to size.
 */
enum { CYG_PICKLE_NAME = 128 };
void cyg_pickle_global_name(const cyg_pickle *p, uint32_t id, char out[CYG_PICKLE_NAME]);
/* "a dict", "an object of class x.y": for messages. */
void cyg_pickle_describe(const cyg_pickle *p, uint32_t id, char out[CYG_PICKLE_NAME + 32]);

#endif
