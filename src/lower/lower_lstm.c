/* LSTM: its activations are names with numbers of their own, some of which have defaults. */
#include "lower/lowering.h"

#include <string.h>

enum { MOST = 6 }; /* f, g, h of two directions */

typedef struct activation {
    const char *name;
    float alpha, beta; /* ONNX's defaults */
} activation;

/* In the order of cyg_lstm_activation. */
static const activation activations[CYG_LSTM_ACTIVATIONS] = {
    {"Sigmoid", 0, 0},       {"Tanh", 0, 0},
    {"Relu", 0, 0},          {"Affine", 1, 0},
    {"LeakyRelu", 0.01f, 0}, {"ThresholdedRelu", 1, 0},
    {"ScaledTanh", 1, 1},    {"HardSigmoid", 0.2f, 0.5f},
    {"Elu", 1, 0},           {"Softsign", 0, 0},
    {"Softplus", 0, 0}};

/* ONNX says that names are case-insensitive. */
static bool same_name(const char *a, size_t length, const char *b)
{
    for (size_t i = 0; i < length; i++) {
        const char x = a[i] >= 'A' && a[i] <= 'Z' ? (char)(a[i] - 'A' + 'a') : a[i];
        const char y = b[i] >= 'A' && b[i] <= 'Z' ? (char)(b[i] - 'A' + 'a') : b[i];
        if (x != y)
            return false;
    }
    return b[length] == '\0';
}

static int find_activation(const char *name, size_t length)
{
    for (int i = 0; i < CYG_LSTM_ACTIVATIONS; i++)
        if (same_name(name, length, activations[i].name))
            return i;
    return -1;
}

/* The names come as one text with blanks between (import). Numbers belong to those activations that
 * have parameters, in order. */
static cyg_status read_activations(cyg_lowering *l, int count, cyg_kp_lstm *p)
{
    static const int usual[] = {CYG_LSTM_SIGMOID, CYG_LSTM_TANH, CYG_LSTM_TANH};
    const float *alpha, *beta;
    const size_t alphas = cyg_node_floats(l->node, CYG_ATTR_activation_alpha, &alpha);
    const size_t betas = cyg_node_floats(l->node, CYG_ATTR_activation_beta, &beta);
    const char *names = cyg_node_string(l->node, CYG_ATTR_activations, "");
    const bool given = names[0] != '\0';
    size_t next_alpha = 0, next_beta = 0;
    for (int i = 0; i < count; i++) {
        const size_t length = strcspn(names, " ");
        const int found = given ? find_activation(names, length) : usual[i % 3];
        if (found < 0)
            return cyg_lowering_unsupported(l, "unknown activation, or too few of them");
        const activation *a = &activations[found];
        const bool has_alpha = a->alpha != 0.0f,
                   has_beta = a->beta != 0.0f || found == CYG_LSTM_AFFINE;
        p->activation[i] = found;
        p->alpha[i] = has_alpha && next_alpha < alphas ? alpha[next_alpha++] : a->alpha;
        p->beta[i] = has_beta && next_beta < betas ? beta[next_beta++] : a->beta;
        names += length + (names[length] == ' ');
    }
    return names[0] == '\0' ? CYG_OK : cyg_lowering_unsupported(l, "too many activations");
}

cyg_status cyg_lower_lstm(cyg_lowering *l)
{
    static const char *const directions[] = {"forward", "reverse", "bidirectional"};
    const cyg_node *n = l->node;
    const cyg_value *w = cyg_lowering_in(l, 1);
    cyg_kp_lstm p = {.hidden = w->rank == 3 ? w->dims[1] / 4 : 0,
                     .direction =
                         cyg_lowering_choice(cyg_node_string(n, CYG_ATTR_direction, "forward"),
                                             directions, CYG_COUNT(directions)),
                     .batch_first = cyg_node_int(n, CYG_ATTR_layout, 0) != 0,
                     .input_forget = cyg_node_int(n, CYG_ATTR_input_forget, 0) != 0,
                     .clip = cyg_node_float(n, CYG_ATTR_clip, 0.0f)};
    if (p.direction < 0)
        return cyg_lowering_unsupported(l, "unknown direction");
    CYG_DO(read_activations(l, p.direction == CYG_LSTM_BOTH ? 6 : 3, &p));
    CYG_DO(cyg_lowering_op(l, CYG_KOP_f_lstm, &p, sizeof p));
    return cyg_lowering_first(l, 8);
}
