/* The scratch folder of the end-to-end tests: pictures, labels, a configuration, and small helpers
 * on files. Pictures are PNG files of stored blocks, so that the bytes are ours to the last. */
#include "e2e.h"

#include <dirent.h>

#include "base/hash.h"

/* ---- files ---- */

void fixture_write(const char *name, const void *data, size_t size)
{
    char folder[512];
    snprintf(folder, sizeof folder, "%s", e2e_path("%s", name));
    *strrchr(folder, '/') = '\0';
    assert_int_equal(cyg_make_dirs(NULL, folder), CYG_OK);
    assert_int_equal(cyg_write_file(NULL, e2e_path("%s", name), data, size), CYG_OK);
}

void fixture_text(const char *name, const char *fmt, ...)
{
    char text[8192];
    va_list args;
    va_start(args, fmt);
    const int n = vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    assert_in_range(n, 0, sizeof text - 1);
    fixture_write(name, text, (size_t)n);
}

char *fixture_read(const char *path, size_t *out_size)
{
    cyg_map map = {0};
    if (cyg_map_open(NULL, path, &map) != CYG_OK)
        fail_msg("%s cannot be read", path);
    char *text = malloc(map.size + 1);
    assert_non_null(text);
    if (map.size > 0)
        memcpy(text, map.data, map.size);
    text[map.size] = '\0';
    if (out_size != NULL)
        *out_size = map.size;
    cyg_map_close(&map);
    return text;
}

void fixture_copy(const char *from_absolute, const char *to)
{
    size_t size;
    char *data = fixture_read(from_absolute, &size);
    fixture_write(to, data, size);
    free(data);
}

void fixture_sha256(const char *path, char out[65])
{
    size_t size;
    char *data = fixture_read(path, &size);
    cyg_sha256_hex(data, size, out);
    free(data);
}

int fixture_count(const char *folder, const char *text)
{
    int count = 0;
    DIR *dir = opendir(folder);
    if (dir == NULL)
        return 0;
    for (struct dirent *e = readdir(dir); e != NULL; e = readdir(dir))
        count += text != NULL ? strstr(e->d_name, text) != NULL
                              : strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
    closedir(dir);
    return count;
}

/* ---- pictures ---- */

static uint32_t crc32_of(const uint8_t *data, size_t size)
{
    uint32_t crc = 0xffffffffu;
    for (size_t i = 0; i < size; i++) {
        crc ^= data[i];
        for (int k = 0; k < 8; k++)
            crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
    }
    return ~crc;
}

static uint8_t *put32(uint8_t *p, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t)(v >> (24 - 8 * i));
    return p + 4;
}

static uint8_t *put_chunk(uint8_t *p, const char *kind, const uint8_t *data, size_t size)
{
    uint8_t *start = p + 4;
    put32(p, (uint32_t)size);
    memcpy(start, kind, 4);
    if (size > 0)
        memcpy(start + 4, data, size);
    return put32(start + 4 + size, crc32_of(start, size + 4));
}

/* Colours that differ by seed, with coarse and fine structure. */
static uint8_t pixel_at(int x, int y, int c, unsigned seed)
{
    const unsigned wave = (unsigned)(x * (int)(3 + seed % 5) + y * (int)(2 + seed % 7) + c * 40);
    const unsigned patch = ((unsigned)(x / 8) * 29u + (unsigned)(y / 8) * 53u + seed * 71u) % 97u;
    return (uint8_t)((wave + patch * (unsigned)(c + 1) + seed * 37u * (unsigned)(3 - c)) % 256u);
}

void fixture_png(const char *name, int width, int height, unsigned seed)
{
    const size_t row = (size_t)width * 3 + 1, raw = row * (size_t)height;
    assert_true(raw < 65536); /* one stored block */
    uint8_t *lines = calloc(1, raw + 16), *file = calloc(1, raw + 256);
    assert_true(lines != NULL && file != NULL);
    uint8_t *z = lines, *p = file;
    const uint8_t head[7] = {
        0x78, 1, 1, (uint8_t)raw, (uint8_t)(raw >> 8), (uint8_t)~raw, (uint8_t)(~raw >> 8)};
    memcpy(z, head, 7);
    z += 7;
    uint32_t a = 1, b = 0;
    for (int y = 0; y < height; y++) {
        for (size_t i = 0; i < row; i++) {
            const uint8_t v = i == 0 ? 0 : pixel_at((int)(i - 1) / 3, y, (int)((i - 1) % 3), seed);
            a = (a + v) % 65521;
            b = (b + a) % 65521;
            *z++ = v;
        }
    }
    z = put32(z, b << 16 | a);
    uint8_t ihdr[13] = {0};
    put32(ihdr, (uint32_t)width);
    put32(ihdr + 4, (uint32_t)height);
    ihdr[8] = 8;
    ihdr[9] = 2;
    memcpy(p, "\x89PNG\r\n\x1a\n", 8);
    p = put_chunk(p + 8, "IHDR", ihdr, sizeof ihdr);
    p = put_chunk(p, "IDAT", lines, (size_t)(z - lines));
    p = put_chunk(p, "IEND", NULL, 0);
    fixture_write(name, file, (size_t)(p - file));
    free(lines);
    free(file);
}

/* ---- everything ---- */

static void write_pictures(void)
{
    for (unsigned i = 0; i < 4; i++) {
        char name[32];
        snprintf(name, sizeof name, "calib/%u.png", i);
        fixture_png(name, 40, 36, i);
    }
    fixture_text("val/labels.tsv", "file\tclass_index\n"
                                   "ant/a.png\t0\nant/b.png\t0\nbee/a.png\t1\nbee/b.png\t1\n"
                                   "cat/a.png\t2\ncat/b.png\t2\n");
    fixture_png("val/ant/a.png", 33, 40, 20);
    fixture_png("val/ant/b.png", 32, 32, 21);
    fixture_png("val/bee/a.png", 64, 40, 22);
    fixture_png("val/bee/b.png", 48, 48, 23);
    fixture_png("val/cat/a.png", 35, 90, 24);
    fixture_png("val/cat/b.png", 50, 36, 25);
}

int fixture_setup(void **state)
{
    size_t size;
    *state = NULL;
    snprintf(e2e_root, sizeof e2e_root, "/tmp/cyg-e2e-XXXXXX");
    if (mkdtemp(e2e_root) == NULL || getenv("CYGNET") == NULL) {
        fprintf(stderr, "CYGNET must name the program\n");
        return -1;
    }
    uint8_t *model = model_make(MODEL_GOOD, &size);
    fixture_write("model.onnx", model, size);
    free(model);
    model = model_make_cnn(&size);
    fixture_write("cnn.onnx", model, size);
    free(model);
    write_pictures();
    fixture_text("build.json",
                 "{\"input\": \"model.onnx\", \"output_dir\": \"out\",\n"
                 " \"target_hardware\": \"CPU\",\n"
                 " \"quant\": {\"input_configs\": [{\"tensor_name\": \"pixel_values\",\n"
                 "   \"calibration_dataset\": \"calib\", \"calibration_size\": 4,\n"
                 "   \"calibration_mean\": [120, 115, 105], \"calibration_std\": [58, 57, 59]}]},\n"
                 " \"input_processors\": [{\"tensor_name\": \"pixel_values\",\n"
                 "   \"tensor_format\": \"RGB\", \"src_format\": \"RGB\",\n"
                 "   \"src_layout\": \"NHWC\", \"src_dtype\": \"U8\"}]}\n");
    return 0;
}

int fixture_teardown(void **state)
{
    (void)state;
    if (getenv("CYG_KEEP") != NULL) {
        fprintf(stderr, "kept: %s\n", e2e_root);
        return 0;
    }
    return cyg_remove_tree(NULL, e2e_root) == CYG_OK ? 0 : -1;
}
