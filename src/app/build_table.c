/* The Quant Config Table, which scripts made for the vendor's tool look for: one row a model input.
 */
#include <string.h>

#include "app/build.h"
#include "report/text_table.h"

enum { COLUMNS = 7, CELL = 64 };

static void numbers(const float *values, int64_t count, char out[CELL])
{
    size_t used = (size_t)snprintf(out, CELL, "[");
    for (int64_t i = 0; i < count && used < CELL; i++)
        used += (size_t)snprintf(out + used, CELL - used, i > 0 ? ", %g" : "%g", (double)values[i]);
    if (used < CELL)
        snprintf(out + used, CELL - used, "]");
}

static void shape(const cyg_value *v, char out[CELL])
{
    size_t used = (size_t)snprintf(out, CELL, "[");
    for (int i = 0; i < v->rank && used < CELL; i++)
        used += (size_t)snprintf(out + used, CELL - used, i > 0 ? ", %lld" : "%lld",
                                 (long long)v->dims[i]);
    if (used < CELL)
        snprintf(out + used, CELL - used, "]");
}

static void row(const cyg_build *b, uint32_t i, char cells[COLUMNS][CELL])
{
    static const char *const formats[] = {"Image", "Numpy", "Binary", "NumpyObject"};
    static const char *const orders[] = {"RGB", "BGR", "GRAY"};
    const cyg_build_input *in = &b->inputs[i];
    const int64_t channels = cyg_preprocess_channels(&in->preprocess);
    const bool image = in->config.quant.calibration_format == CYG_CONFIG_FORMAT_Image;
    snprintf(cells[0], CELL, "%s", in->name);
    shape(cyg_val(b->graph, b->graph->inputs[i]), cells[1]);
    snprintf(cells[2], CELL, "%s", in->config.quant.calibration_dataset);
    snprintf(cells[3], CELL, "%s", formats[in->config.quant.calibration_format]);
    snprintf(cells[4], CELL, "%s", image ? orders[in->preprocess.order] : "");
    cells[5][0] = cells[6][0] = '\0';
    if (image && in->preprocess.normalize) {
        numbers(in->preprocess.mean, channels, cells[5]);
        numbers(in->preprocess.std, channels, cells[6]);
    }
}

void cyg_build_print_table(cyg_build *b)
{
    static const char *const heads[COLUMNS] = {
        "Input", "Shape", "Dataset Directory", "Data Format", "Tensor Format", "Mean", "Std"};
    char cells[COLUMNS][CELL];
    cyg_strbuf text = {0};
    cyg_text_table table;
    cyg_text_table_begin(&table, &b->app->arena, heads, COLUMNS);
    for (uint32_t i = 0; i < b->input_count; i++) {
        row(b, i, cells);
        for (int c = 0; c < COLUMNS; c++)
            cyg_text_table_cell(&table, "%s", cells[c]);
    }
    cyg_text_table_end(&table, "  ", "  ", &text);
    cyg_app_print(b->app, "  Quant Config Table\n%s", text.failed ? "" : text.data);
    cyg_strbuf_deinit(&text);
}
