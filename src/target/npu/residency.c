/* Residency: every tensor between two steps lies in the OCM as long as these and the buffers that a
 * step's tiles need fit together. Where they do not, the tensor that is needed latest leaves for
 * the DDR: steps before find it in the OCM, steps behind load windows of it. What a step itself
 * needs leaves only when nothing else can, the smallest that is enough. */
#include "target/npu/residency.h"

#include <string.h>

#include "target/npu/matrix.h"

typedef struct span {
    uint32_t def, last; /* steps; def = first for border inputs */
    bool used, is_input, is_output;
} span;

typedef struct residency {
    cyg_npu_gen *g;
    span *spans; /* by tensor, owners only */
    /* Tensors by the step that makes them: born[born_at[i]] .. born[born_at[i + 1] - 1], i counting
     * from the subgraph's first step; and those whose span holds the present step. Both ascending.
     */
    uint32_t *born_at, *born, *alive;
    uint32_t alive_count;
} residency;

static uint64_t bytes_of(const cyg_npu_gen *g, uint32_t t)
{
    return (cyg_tensor_bytes(&g->p->tensors[t]) + 63) / 64 * 64;
}

static bool uses(const cyg_npu_gen *g, uint32_t step, uint32_t owner)
{
    const cyg_step *s = &g->p->steps[step];
    for (uint32_t i = 0; i < s->in_count; i++)
        if (s->in[i] != CYG_NO_TENSOR && cyg_npu_owner(g->p, s->in[i]) == owner)
            return true;
    for (uint32_t i = 0; i < s->out_count; i++)
        if (cyg_npu_owner(g->p, s->out[i]) == owner)
            return true;
    return false;
}

/* ---- lifetimes
 * -------------------------------------------------------------------------------------------------
 */

static void touch(residency *r, uint32_t tensor, uint32_t step, bool is_out)
{
    const cyg_program *p = r->g->p;
    if (tensor == CYG_NO_TENSOR)
        return;
    const uint32_t t = cyg_npu_owner(p, tensor);
    span *s = &r->spans[t];
    if (p->tensors[t].kind == CYG_TENSOR_CONST)
        return;
    if (!s->used) {
        *s = (span){.def = is_out ? step : r->g->first, .used = true, .is_input = !is_out};
    }
    s->last = step;
}

static void find_spans(residency *r)
{
    const cyg_npu_gen *g = r->g;
    const cyg_program *p = g->p;
    for (uint32_t i = g->first; i <= g->last; i++) {
        for (uint32_t k = 0; k < p->steps[i].in_count; k++)
            touch(r, p->steps[i].in[k], i, false);
        for (uint32_t k = 0; k < p->steps[i].out_count; k++)
            touch(r, p->steps[i].out[k], i, true);
    }
    for (uint32_t i = g->last + 1; i < p->step_count; i++)
        for (uint32_t k = 0; k < p->steps[i].in_count; k++) {
            const uint32_t t = p->steps[i].in[k];
            if (t != CYG_NO_TENSOR && r->spans[cyg_npu_owner(p, t)].used)
                r->spans[cyg_npu_owner(p, t)].is_output = true;
        }
    for (uint32_t i = 0; i < p->output_count; i++)
        r->spans[cyg_npu_owner(p, p->outputs[i])].is_output = true;
    for (uint32_t t = 0; t < p->tensor_count; t++)
        if (r->spans[t].is_input || !r->spans[t].used)
            r->spans[t].is_output = false;
}

static bool sort_births(residency *r)
{
    const cyg_npu_gen *g = r->g;
    const uint32_t tensors = g->p->tensor_count, steps = g->last - g->first + 1;
    r->born_at = CYG_NEW_ARRAY(g->arena, uint32_t, (size_t)steps + 2);
    r->born = CYG_NEW_ARRAY(g->arena, uint32_t, (size_t)tensors + 1);
    r->alive = CYG_NEW_ARRAY(g->arena, uint32_t, (size_t)tensors + 1);
    if (r->born_at == NULL || r->born == NULL || r->alive == NULL)
        return false;
    for (uint32_t t = 0; t < tensors; t++)
        if (r->spans[t].used)
            r->born_at[r->spans[t].def - g->first + 2]++;
    for (uint32_t i = 0; i < steps; i++)
        r->born_at[i + 2] += r->born_at[i + 1];
    for (uint32_t t = 0; t < tensors; t++)
        if (r->spans[t].used)
            r->born[r->born_at[r->spans[t].def - g->first + 1]++] = t;
    return true;
}

/* To the next step, or back to the first. */
static void walk_to(residency *r, uint32_t step)
{
    const uint32_t at = step - r->g->first;
    uint32_t kept = 0;
    for (uint32_t i = 0; at > 0 && i < r->alive_count; i++)
        if (r->spans[r->alive[i]].last >= step)
            r->alive[kept++] = r->alive[i];
    for (uint32_t k = r->born_at[at]; k < r->born_at[at + 1]; k++) {
        uint32_t i = kept++;
        for (; i > 0 && r->alive[i - 1] > r->born[k]; i--)
            r->alive[i] = r->alive[i - 1];
        r->alive[i] = r->born[k];
    }
    r->alive_count = kept;
}

/* ---- what a step's tiles need at least
 * ------------------------------------------------------------------------ */

static uint64_t least_tiles(const cyg_npu_gen *g, uint32_t step)
{
    const cyg_step *s = &g->p->steps[step];
    uint64_t need = 0;
    if (s->op == CYG_KOP_i_linear || s->op == CYG_KOP_i_conv2d) {
        const cyg_tensor *w = &g->p->tensors[s->in[CYG_NPU_W]];
        const int64_t n = w->dims[0], unit = n < g->m->conv_out ? n : g->m->conv_out;
        need = (uint64_t)(2 * unit * (cyg_tensor_elements(w) / n + 16));
    }
    const uint64_t share = (uint64_t)g->m->ocm_bytes / 8;
    return need > share ? need : share;
}

/* ---- who leaves
 * -------------------------------------------------------------------------------------------------
 */

static bool is_resident(const residency *r, uint32_t t, uint32_t step)
{
    const span *s = &r->spans[t];
    const cyg_npu_home *h = &r->g->homes[t];
    return s->used && h->ocm != CYG_NPU_NO_BUFFER && s->def <= step && step <= s->last &&
           step <= h->until;
}

static uint64_t live_at(const residency *r, uint32_t step)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < r->alive_count; i++) {
        const uint32_t t = r->alive[i];
        /* y in its residual's place: counted once, while both are there. */
        if (is_resident(r, t, step) && !(r->g->homes[t].shares_input && r->spans[t].def == step))
            sum += bytes_of(r->g, t);
    }
    return sum;
}

/* The next step from `step` on that uses t, or UINT32_MAX. */
static uint32_t next_use(const residency *r, uint32_t t, uint32_t step)
{
    for (uint32_t i = step; i <= r->spans[t].last; i++)
        if (uses(r->g, i, t))
            return i;
    return UINT32_MAX;
}

static uint32_t use_before(const residency *r, uint32_t t, uint32_t step)
{
    uint32_t last = r->spans[t].def;
    for (uint32_t i = last; i < step; i++)
        if (uses(r->g, i, t))
            last = i;
    return last;
}

/* Needed latest; of several, the smallest that makes room enough, for that moves fewest bytes, or
 * else the largest. */
static uint32_t victim_of(const residency *r, uint32_t step, uint64_t over)
{
    uint32_t best = CYG_NO_TENSOR, best_next = 0;
    uint64_t best_bytes = 0;
    for (uint32_t i = 0; i < r->alive_count; i++) {
        const uint32_t t = r->alive[i];
        if (!is_resident(r, t, step) || bytes_of(r->g, t) == 0)
            continue;
        const uint32_t next = next_use(r, t, step);
        const uint64_t bytes = bytes_of(r->g, t);
        const bool better =
            bytes >= over ? bytes < best_bytes || best_bytes < over : bytes > best_bytes;
        if (best == CYG_NO_TENSOR || next > best_next || (next == best_next && better)) {
            best = t;
            best_next = next;
            best_bytes = bytes;
        }
    }
    return best;
}

static void evict(residency *r, uint32_t t, uint32_t step)
{
    cyg_npu_home *h = &r->g->homes[t];
    const span *s = &r->spans[t];
    if (s->def == step || (s->is_input && next_use(r, t, s->def) >= step)) {
        h->ocm = CYG_NPU_NO_BUFFER; /* never whole */
        h->shares_input = false;
    } else {
        h->until = use_before(r, t, step); /* in its residual's place until then, if it is */
    }
    /* Whoever took this tensor's place needs one of its own. */
    for (uint32_t i = 0; i < r->g->p->tensor_count; i++)
        if (r->g->homes[i].shares_input && r->g->homes[i].ddr == t)
            r->g->homes[i].shares_input = false;
}

/* ---- y in the residual's place
 * ---------------------------------------------------------------------------------- */

/* For a step with a fused residual of y's shape and type that nothing reads later. While planning,
 * `ddr` of a home that shares is the tensor that it shares with. */
static void share_places(residency *r)
{
    const cyg_program *p = r->g->p;
    for (uint32_t i = r->g->first; i <= r->g->last; i++) {
        const cyg_step *s = &p->steps[i];
        if ((s->op != CYG_KOP_i_linear && s->op != CYG_KOP_i_conv2d) ||
            s->in_count <= CYG_NPU_RESIDUAL || s->in[CYG_NPU_RESIDUAL] == CYG_NO_TENSOR)
            continue;
        const uint32_t from = cyg_npu_owner(p, s->in[CYG_NPU_RESIDUAL]), y = s->out[0];
        const cyg_tensor *a = &p->tensors[from], *b = &p->tensors[y];
        if (a->kind == CYG_TENSOR_CONST || from > y || from == cyg_npu_owner(p, s->in[CYG_NPU_X]) ||
            a->type != b->type || cyg_tensor_bytes(a) != cyg_tensor_bytes(b) || a->rank < 1 ||
            b->rank < 1 || a->dims[a->rank - 1] != b->dims[b->rank - 1] || r->spans[from].last != i)
            continue;
        r->g->homes[y].shares_input = true;
        r->g->homes[y].ddr = from;
    }
}

/* ---- buffers
 * ---------------------------------------------------------------------------------------------------
 */

static uint64_t pitch_of(const cyg_tensor *t)
{
    const uint64_t bytes = cyg_tensor_bytes(t);
    const int64_t row =
        t->rank > 0 ? t->dims[t->rank - 1] * cyg_npu_type_bytes(t->type) : (int64_t)bytes;
    return row > 0 ? (uint64_t)row : 1;
}

static cyg_status whole_buffer(cyg_npu_gen *g, uint32_t tensor, uint8_t space, uint32_t *out)
{
    const cyg_tensor *t = &g->p->tensors[tensor];
    const cyg_npu_buffer b = {.bytes = cyg_tensor_bytes(t),
                              .pitch = pitch_of(t),
                              .space = space,
                              .io = space == CYG_NPU_IO ? g->io_count : 0,
                              .name = t->name};
    *out = cyg_npu_tasks_add_buffer(&g->tasks, g->arena, &b);
    return *out == CYG_NPU_NO_BUFFER ? cyg_npu_gen_nomem(g) : CYG_OK;
}

static cyg_status make_buffers(residency *r)
{
    cyg_npu_gen *g = r->g;
    for (uint32_t t = 0; t < g->p->tensor_count; t++) {
        const span *s = &r->spans[t];
        cyg_npu_home *h = &g->homes[t];
        const uint32_t shared = h->shares_input ? h->ddr : CYG_NO_TENSOR;
        h->ddr = CYG_NPU_NO_BUFFER;
        if (!s->used)
            continue;
        const bool border = s->is_input || s->is_output;
        const bool spilled = h->ocm == CYG_NPU_NO_BUFFER || h->until < s->last;
        if (border || spilled)
            CYG_DO(whole_buffer(g, t, border ? CYG_NPU_IO : CYG_NPU_SWAP, &h->ddr));
        if (border)
            g->io[g->io_count++] = (cyg_npu_io){
                g->p->tensors[t].name, cyg_tensor_bytes(&g->p->tensors[t]), t, s->is_output};
        if (h->ocm == CYG_NPU_NO_BUFFER)
            continue;
        h->needs_load = s->is_input;
        if (shared != CYG_NO_TENSOR && g->homes[shared].ocm != CYG_NPU_NO_BUFFER)
            h->ocm = g->homes[shared].ocm; /* made before: a tensor's inputs come first */
        else
            CYG_DO(whole_buffer(g, t, CYG_NPU_OCM, &h->ocm));
    }
    return CYG_OK;
}

cyg_status cyg_npu_residency(cyg_npu_gen *g)
{
    const cyg_program *p = g->p;
    residency r = {.g = g};
    r.spans = CYG_NEW_ARRAY(g->arena, span, p->tensor_count + 1);
    g->homes = CYG_NEW_ARRAY(g->arena, cyg_npu_home, p->tensor_count + 1);
    g->io = CYG_NEW_ARRAY(g->arena, cyg_npu_io, p->tensor_count + 1);
    g->live = CYG_NEW_ARRAY(g->arena, uint64_t, p->step_count + 1);
    if (r.spans == NULL || g->homes == NULL || g->io == NULL || g->live == NULL)
        return cyg_npu_gen_nomem(g);
    find_spans(&r);
    for (uint32_t t = 0; t < p->tensor_count; t++)
        g->homes[t] = (cyg_npu_home){.ocm = 0, .ddr = CYG_NPU_NO_BUFFER, .until = r.spans[t].last};
    share_places(&r);
    if (!sort_births(&r))
        return cyg_npu_gen_nomem(g);
    for (uint32_t i = g->first; i <= g->last; i++) {
        walk_to(&r, i);
        for (uint64_t need; (need = live_at(&r, i) + least_tiles(g, i)) > cyg_npu_share(g, i);) {
            const uint32_t t = victim_of(&r, i, need - cyg_npu_share(g, i));
            if (t == CYG_NO_TENSOR)
                break; /* the tiles alone are too much: the schedule will say so */
            evict(&r, t, i);
        }
    }
    for (uint32_t i = g->first; i <= g->last; i++) {
        walk_to(&r, i);
        g->live[i] = live_at(&r, i);
    }
    return make_buffers(&r);
}
