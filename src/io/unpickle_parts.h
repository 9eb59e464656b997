/* The machine that reads a pickle, shared by its parts: unpickle.c (bytes, stack, rows),
 * unpickle_data.c (instructions that move data) and unpickle_objects.c (globals and what is made
 * with them). */
#ifndef CYG_IO_UNPICKLE_PARTS_H
#define CYG_IO_UNPICKLE_PARTS_H

#include "io/unpickle.h"

enum { CYG_ROW_NONE, CYG_ROW_FALSE, CYG_ROW_TRUE, CYG_ROW_EMPTY_TUPLE };

typedef struct cyg_id_list { /* grows on the heap */
    uint32_t *items;
    uint32_t count, cap;
} cyg_id_list;

typedef struct cyg_operand {
    uint64_t number;
    const char *text, *text2;
    size_t size, size2;
    uint32_t argument; /* of the opcode, from unpickle_ops.def */
    bool is_line;      /* text is a line, there is no number */
} cyg_operand;

typedef struct cyg_unpickler {
    cyg_ctx *ctx;
    const char *name; /* for messages */
    cyg_pickle *out;
    cyg_id_list stack;
    cyg_id_list marks; /* heights of the stack */
    cyg_id_list memo;  /* by memo number; row + 1, 0 = never put */
    const uint8_t *data;
    size_t size, at, opcode_at;
    cyg_pickle_limits limits;
    uint64_t copied; /* pairs that OrderedDict(list) copied */
    bool stopped;
} cyg_unpickler;

typedef cyg_status (*cyg_pickle_action)(cyg_unpickler *u, const cyg_operand *operand);

/* return cyg_unpickle_fail(u, "text"): a FORMAT error that names the byte. */
cyg_status cyg_unpickle_fail(const cyg_unpickler *u, const char *text) CYG_MUST_USE;
cyg_status cyg_unpickle_push(cyg_unpickler *u, uint32_t id) CYG_MUST_USE;
cyg_status cyg_unpickle_push_value(cyg_unpickler *u, cyg_pickle_value value) CYG_MUST_USE;
cyg_status cyg_unpickle_pop(cyg_unpickler *u, uint32_t *out_id) CYG_MUST_USE;
/* Takes everything above the topmost mark off the stack, and the mark. The items stay readable at
 * the place given until the next push. */
cyg_status cyg_unpickle_pop_mark(cyg_unpickler *u, const uint32_t **out_items,
                                 uint32_t *out_count) CYG_MUST_USE;
cyg_status cyg_unpickle_push_tuple(cyg_unpickler *u, const uint32_t *items,
                                   uint32_t count) CYG_MUST_USE;
/* Hangs items onto a container; an opaque target only learns whether there are tensors. */
cyg_status cyg_unpickle_append(cyg_unpickler *u, uint32_t container, const uint32_t *items,
                               uint32_t count) CYG_MUST_USE;
cyg_status cyg_unpickle_push_opaque(cyg_unpickler *u, uint32_t maker,
                                    bool holds_tensor) CYG_MUST_USE;

cyg_status cyg_unpickle_no_memory(const cyg_unpickler *u) CYG_MUST_USE;
bool cyg_unpickle_reserve(cyg_id_list *list, uint32_t count);
/* The lowest height the stack may fall to: that of the topmost mark. */
uint32_t cyg_unpickle_fence(const cyg_unpickler *u);
cyg_status cyg_unpickle_peek(cyg_unpickler *u, uint32_t *out_id) CYG_MUST_USE;
/* A new container on the stack; items may lie above the stack's top. */
cyg_status cyg_unpickle_push_container(cyg_unpickler *u, cyg_pickle_kind kind,
                                       const uint32_t *items, uint32_t count) CYG_MUST_USE;

/* Several opcodes share an action, so each declaration may come more than once. */
#define CYG_ACTION(name)                                                                           \
    cyg_status cyg_pickle_do_##name(CYG_UNUSED cyg_unpickler *u,                                   \
                                    CYG_UNUSED const cyg_operand *operand)
#define CYG_OPCODE(byte, form, action, argument) CYG_ACTION(action);
#include "io/unpickle_ops.def"
#undef CYG_OPCODE

#endif
