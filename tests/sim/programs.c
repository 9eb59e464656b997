#include "programs.h"

#include "format/package.h"
#include "npu/subgraph.h"

static const cyg_isat u8_sat = {0 - 100, 255 - 100, 100, 0};

void sp_linear(sp_program *s)
{
    enum { ROWS = 56, K = 96, N = 128 };
    sp_begin(s, 1);
    const cyg_kp_ilinear scaled = {.act = CYG_ACT_NONE},
                         gelu = {.act = CYG_ACT_GELU_ERF, .inv_scale_y = 50.0f, .sat = u8_sat};
    sp_line(s, "memory ocm 65536 swap 0 param 13312 code 0 macs %d", ROWS * K * N);
    sp_line(s, "io in \"x\" bytes %d tensor 0", ROWS * K);
    sp_line(s, "io out \"y\" bytes %d tensor 1", ROWS * N);
    sp_line(s, "step \"fc1\"\ntap step 0 output 0 at io1[0] bytes %d", ROWS * N);
    /* OCM: x 0, w 6144, bias 18432, M 18944, g 20480, y 52224 */
    sp_line(s, "sdma4 ld step 0 tile 0 : param[0] s8 128x96 -> ocm[6144] s8 128x96");
    sp_line(s, "sdma4 ld step 0 tile 1 : param[12288] s32 128 -> ocm[18432] s32 128");
    sp_line(s, "sdma4 ld step 0 tile 2 : param[12800] f32 128 -> ocm[18944] f32 128");
    for (int tile = 0; tile < 2; tile++)
        sp_line(s, "sdma4 ld step 0 tile %d : io0[%d] u8 %dx96 -> ocm[%d] u8 %dx96", 3 + tile,
                tile * 32 * K, tile == 0 ? 32 : 24, tile * 32 * K, tile == 0 ? 32 : 24);
    for (int tile = 0; tile < 2; tile++) {
        const int rows = tile == 0 ? 32 : 24, x = tile * 32 * K, g = 20480 + tile * 32 * N * 4,
                  y = 52224 + tile * 32 * N;
        sp_line(s,
                "conv%d conv.linear step 0 tile %d wait sdma4 %d : ocm[%d] u8 %dx96; ocm[6144] s8 "
                "128x96; ocm[18432] s32 128; ocm[18944] f32 128 -> ocm[%d] f32 %dx128 %s",
                tile, tile, 4 + tile, x, rows, g, rows, sp_block(&scaled, sizeof scaled));
        sp_line(s,
                "teng2 teng.act step 0 tile %d wait conv%d 1 : ocm[%d] f32 %dx128 -> ocm[%d] u8 "
                "%dx128 %s",
                tile, tile, g, rows, y, rows, sp_block(&gelu, sizeof gelu));
        sp_line(
            s,
            "sdma4 st step 0 tile %d tap 0 wait teng2 %d : ocm[%d] u8 %dx128 -> io1[%d] u8 %dx128",
            tile, tile + 1, y, rows, tile * 32 * N, rows);
    }
    sp_assemble(s);
    const void *w = sp_bytes(s, N * K), *bias = sp_ints(s, N, 3000),
               *m = sp_floats(s, N, 1e-5f, 4e-5f);
    sp_param(s, 0, w, N * K);
    sp_param(s, 12288, bias, N * 4);
    sp_param(s, 12800, m, N * 4);
    memcpy(s->io[0], sp_bytes(s, ROWS * K), ROWS * K);
    void *y = sp_alloc(s, ROWS * N);
    const cyg_kbuf in[] = {
        sp_buf(s->io[0], CYG_TYPE_U8, SP_DIMS(ROWS, K)), sp_buf(w, CYG_TYPE_S8, SP_DIMS(N, K)),
        sp_buf(bias, CYG_TYPE_S32, SP_DIMS(N)), sp_buf(m, CYG_TYPE_F32, SP_DIMS(N))};
    const cyg_kbuf out = sp_buf(y, CYG_TYPE_U8, SP_DIMS(ROWS, N));
    sp_reference(s, CYG_KOP_i_linear, &gelu, in, 4, &out, 1);
    s->want = y;
}

void sp_conv(sp_program *s)
{
    enum { H = 12, W = 10, C = 8, O = 16, BAND = 4, K = 9 * C };
    sp_begin(s, 2);
    cyg_kp_iconv2d whole = {.x_zero = 7,
                            .geometry = {.kh = 3,
                                         .kw = 3,
                                         .stride_h = 1,
                                         .stride_w = 1,
                                         .pad_t = 1,
                                         .pad_l = 1,
                                         .pad_b = 1,
                                         .pad_r = 1,
                                         .dilation_h = 1,
                                         .dilation_w = 1,
                                         .group = 1},
                            .out = {.act = CYG_ACT_RELU, .inv_scale_y = 20.0f, .sat = u8_sat}};
    sp_line(s, "memory ocm 8192 swap 0 param 2048 code 0 macs %d", H * W * O * K);
    sp_line(s, "io in \"x\" bytes %d tensor 0", H * W * C);
    sp_line(s, "io out \"y\" bytes %d tensor 1", H * W * O);
    sp_line(s, "step \"conv\"\ntap step 0 output 0 at io1[0] bytes %d", H * W * O);
    /* OCM: w 0, bias 1152, M 1216, two bands in 1280 + i * 512, two out 2304 + i * 640 */
    sp_line(s, "sdma4 ld step 0 tile 0 : param[0] s8 16x3x3x8 -> ocm[0] s8 16x3x3x8");
    sp_line(s, "sdma4 ld step 0 tile 1 : param[1152] s32 16 -> ocm[1152] s32 16");
    sp_line(s, "sdma4 ld step 0 tile 2 : param[1216] f32 16 -> ocm[1216] f32 16");
    for (int band = 0; band < 3; band++) {
        cyg_kp_iconv2d part = whole;
        const int first = band == 0 ? 0 : band * BAND - 1,
                  last = band == 2 ? H : band * BAND + BAND + 1, rows = last - first;
        const int x = 1280 + band % 2 * 512, y = 2304 + band % 2 * 640;
        part.geometry.pad_t = band == 0;
        part.geometry.pad_b = band == 2;
        char wait[64] = "";
        /* Band 2 takes the place of band 0: its convolution must be over. */
        if (band == 2)
            snprintf(wait, sizeof wait, " wait conv0 1");
        sp_line(s, "sdma4 ld step 0 tile %d%s : io0[%d] u8 1x%dx10x8 -> ocm[%d] u8 1x%dx10x8",
                3 + band, wait, first * W * C, rows, x, rows);
        /* .. and its output that of band 0, which must be stored. sdma4 runs: 3 constants, band
         * 0, band 1, store 0, band 2, store 1, store 2. */
        static const char *const waits[] = {"sdma4 4", "sdma4 5", "sdma4 7"};
        sp_line(s,
                "conv0 conv.2d step 0 tile %d wait %s : ocm[%d] u8 1x%dx10x8; ocm[0] s8 16x3x3x8; "
                "ocm[1152] s32 16; ocm[1216] f32 16 -> ocm[%d] u8 1x4x10x16 %s",
                band, waits[band], x, rows, y, sp_block(&part, sizeof part));
        if (band > 0)
            sp_line(
                s,
                "sdma4 st step 0 tile %d tap 0 wait conv0 %d : ocm[%d] u8 4x10x16 -> io1[%d] u8 "
                "4x10x16",
                band - 1, band, 2304 + (band - 1) % 2 * 640, (band - 1) * BAND * W * O);
    }
    sp_line(
        s,
        "sdma4 st step 0 tile 2 tap 0 wait conv0 3 : ocm[2304] u8 4x10x16 -> io1[1280] u8 4x10x16");
    sp_assemble(s);
    const void *w = sp_bytes(s, O * K), *bias = sp_ints(s, O, 3000),
               *m = sp_floats(s, O, 1e-5f, 8e-5f);
    sp_param(s, 0, w, O * K);
    sp_param(s, 1152, bias, O * 4);
    sp_param(s, 1216, m, O * 4);
    memcpy(s->io[0], sp_bytes(s, H * W * C), H * W * C);
    void *y = sp_alloc(s, H * W * O);
    const cyg_kbuf in[] = {sp_buf(s->io[0], CYG_TYPE_U8, SP_DIMS(1, H, W, C)),
                           sp_buf(w, CYG_TYPE_S8, SP_DIMS(O, 3, 3, C)),
                           sp_buf(bias, CYG_TYPE_S32, SP_DIMS(O)),
                           sp_buf(m, CYG_TYPE_F32, SP_DIMS(O))};
    const cyg_kbuf out = sp_buf(y, CYG_TYPE_U8, SP_DIMS(1, H, W, O));
    sp_reference(s, CYG_KOP_i_conv2d, &whole, in, 4, &out, 1);
    s->want = y;
}

/* Windows of 3 x 3 in a 6 x 6 picture of tokens. */
static int64_t window_row(int64_t window, int64_t token)
{
    return (window / 2 * 3 + token / 3) * 6 + window % 2 * 3 + token % 3;
}

void sp_attention(sp_program *s)
{
    enum { G = 4, N = 9, H = 2, D = 8, C = H * D, ROWS = G * N, STRIDE = 3 * C };
    sp_begin(s, 3);
    const cyg_kp_attention at = {.heads = H,
                                 .head_dim = D,
                                 .tokens = N,
                                 .entries = G,
                                 .images = 1,
                                 .q_stride = STRIDE,
                                 .k_stride = STRIDE,
                                 .v_stride = STRIDE,
                                 .k_offset = C,
                                 .v_offset = 2 * C,
                                 .tables = 2};
    sp_line(s, "memory ocm 16384 swap 0 param 2688 code 320 macs %d", 2 * G * H * N * N * D);
    sp_line(s, "io in \"qkv\" bytes %d tensor 0", ROWS * STRIDE);
    sp_line(s, "io out \"y\" bytes %d tensor 1", ROWS * C);
    sp_line(s, "step \"attention\"\ntap step 0 output 0 at ocm[4480] bytes %d", ROWS * C);
    /* CODE: rows [4, 9] at 0, mask index [4] at 256 */
    for (int64_t g = 0; g < G; g++) {
        char line[128] = "code.s32";
        for (int64_t i = 0; i < N; i++)
            snprintf(line + strlen(line), sizeof line - strlen(line), " %lld",
                     (long long)window_row(g, i));
        sp_line(s, "%s", line);
    }
    for (int i = 0; i < (256 - G * N * 4) / 4; i++)
        sp_line(s, "code.s32 0");
    sp_line(s, "code.s32 0 1 1 0");
    /* OCM: qkv 0 (1728), bias 1792 (2592), c, A 4416 (16), y 4480 (576); by head from 5120 on:
     * sums 1296, e 324, f 144 in 2048 */
    sp_line(s, "sdma4 ld step 0 tile 0 : io0[0] s8 36x48 -> ocm[0] s8 36x48");
    sp_line(s, "sdma4 ld step 0 tile 1 : param[0] f32 2x2x9x9 -> ocm[1792] f32 2x2x9x9");
    sp_line(s, "sdma4 ld step 0 tile 2 : param[2624] f32 4 -> ocm[4416] f32 4");
    for (int h = 0; h < H; h++) {
        const int sums = 5120 + h * 2048, e = sums + 1344, f = e + 384;
        cyg_kp_iattention_part part = {.at = at};
        part.at.heads = 1;
        part.at.q_stride = part.at.k_stride = D;
        part.at.q_offset = part.at.k_offset = 0;
        cyg_kp_ivalues values = {.at = part.at, .sat = u8_sat};
        values.at.v_stride = D;
        values.at.v_offset = 0;
        sp_line(s,
                "conv%d conv.qk step 0 tile %d wait sdma4 1 : ocm[%d] s8 36x8/48,1; ocm[%d] s8 "
                "36x8/48,1; code[0] s32 4x9; code[0] s32 4x9 -> ocm[%d] s32 4x1x9x9 %s",
                h, h, h * D, C + h * D, sums, sp_block(&part, sizeof part));
        sp_line(s,
                "teng2 teng.weigh step 0 tile %d wait conv%d 1, sdma4 3 : ocm[%d] s32 4x1x9x9; "
                "ocm[%d] f32 1; ocm[%d] f32 1; ocm[%d] f32 2x1x9x9/648,324,36,4; code[256] s32 4 "
                "-> ocm[%d] u8 4x1x9x9; ocm[%d] f32 4x1x9 %s",
                h, h, sums, 4416 + 4 * h, 4424 + 4 * h, 1792 + h * 324, e, f,
                sp_block(&part, sizeof part));
        sp_line(
            s,
            "conv%d conv.pv step 0 tile %d tap 0 wait teng2 %d : ocm[%d] u8 4x1x9x9; ocm[%d] s8 "
            "36x8/48,1; ocm[%d] f32 4x1x9; code[0] s32 4x9; code[0] s32 4x9 -> ocm[%d] u8 "
            "36x8/16,1 %s",
            h, h, h + 1, e, 2 * C + h * D, f, 4480 + h * D, sp_block(&values, sizeof values));
    }
    sp_line(s, "sdma4 st step 0 tile 0 wait conv0 2, conv1 2 : ocm[4480] u8 36x16 -> io1[0] u8 "
               "36x16");
    sp_assemble(s);
    const float *bias = sp_floats(s, 2 * H * N * N, -4.0f, 4.0f);
    const float c_and_a[4] = {0.0004f, 0.0007f, 1.5f, 0.7f};
    sp_param(s, 0, bias, 2 * H * N * N * 4);
    sp_param(s, 2624, c_and_a, sizeof c_and_a);
    memcpy(s->io[0], sp_bytes(s, ROWS * STRIDE), ROWS * STRIDE);
    void *y = sp_alloc(s, ROWS * C);
    int64_t *rows = sp_alloc(s, ROWS * 8), *mask = sp_alloc(s, G * 8);
    for (int64_t i = 0; i < ROWS; i++)
        rows[i] = window_row(i / N, i % N);
    mask[1] = mask[2] = 1;
    const cyg_kp_iattention p = {.at = at, .e_bits = 8, .sat = u8_sat};
    const cyg_kbuf qkv = sp_buf(s->io[0], CYG_TYPE_S8, SP_DIMS(ROWS, STRIDE));
    const cyg_kbuf in[] = {qkv,
                           qkv,
                           qkv,
                           sp_buf(c_and_a, CYG_TYPE_F32, SP_DIMS(H)),
                           sp_buf(c_and_a + 2, CYG_TYPE_F32, SP_DIMS(H)),
                           sp_buf(bias, CYG_TYPE_F32, SP_DIMS(2, H, N, N)),
                           sp_buf(mask, CYG_TYPE_S64, SP_DIMS(G)),
                           sp_buf(rows, CYG_TYPE_S64, SP_DIMS(G, N))};
    const cyg_kbuf out = sp_buf(y, CYG_TYPE_U8, SP_DIMS(ROWS, C));
    sp_reference(s, CYG_KOP_i_attention, &p, in, 8, &out, 1);
    s->want = y;
}

void sp_rows(sp_program *s)
{
    enum { ROWS = 6, C = 24 };
    static const int32_t gather[] = {5, 0, 3, -1, 1, 2}, scatter[] = {2, 0, 1, 4, 3, 5};
    sp_begin(s, 4);
    const cyg_kp_ilayernorm norm = {.channels = C, .eps = 0.1, .sat = u8_sat};
    const cyg_kp_ieltwise add = {
        .a_zero = 100, .b_zero = 3, .a_scale = 0.5f, .b_scale = 0.25f, .sat = u8_sat};
    const int16_t seven = 7;
    sp_line(s, "memory ocm 4096 swap 256 param 256 code 64 macs 0");
    sp_line(s, "io in \"x\" bytes %d tensor 0", ROWS * C * 2);
    sp_line(s, "io out \"y\" bytes %d tensor 1", ROWS * C);
    sp_line(s, "step \"rows\"\nstep \"add\"");
    sp_line(s, "tap step 0 output 0 at ocm[512] bytes %d\ntap step 1 output 0 at io1[0] bytes %d",
            ROWS * C, ROWS * C);
    sp_line(s, "code.s32 5 0 3 -1 1 2\ncode.s32 2 0 1 4 3 5");
    /* OCM: x 0 (288), gamma and beta 320 (192), y 512 (144), copy 704, sum 896 */
    sp_line(s, "cv3 cv.fill step 0 tile 0 -> ocm[0] s16 6x24 %s", sp_block(&seven, 2));
    sp_line(s, "sdma4 ldx step 0 tile 0 wait cv3 1 : io0[0] s16 6x24; code[0] s32 6 -> ocm[0] s16 "
               "6x24");
    sp_line(s, "sdma4 ld step 0 tile 1 : param[0] f32 2x24 -> ocm[320] f32 2x24");
    sp_line(s,
            "teng2 teng.layernorm step 0 tile 0 tap 0 wait sdma4 2 : ocm[0] s16 6x24; ocm[320] f32 "
            "24; ocm[416] f32 24 -> ocm[512] u8 6x24 %s",
            sp_block(&norm, sizeof norm));
    /* Columns in reverse halves, by way of the swap. */
    sp_line(s, "sdma4 st step 0 tile 2 wait teng2 1 : ocm[512] u8 6x2x12 -> swap[0] u8 6x2x12/32,"
               "16,1");
    sp_line(s, "cv3 cv.copy step 1 tile 0 wait teng2 1 : ocm[524] u8 6x12/24,1 -> ocm[704] u8 "
               "6x12/24,1");
    sp_line(s, "sdma4 ld step 1 tile 0 : swap[0] u8 6x12/32,1 -> ocm[716] u8 6x12/24,1");
    sp_line(s, "cv3 cv.gather step 1 tile 1 wait sdma4 4 : ocm[704] u8 6x24; code[24] s32 6 -> "
               "ocm[896] u8 6x24");
    sp_line(s,
            "teng2 teng.eltwise step 1 tile 2 wait cv3 3 : ocm[896] u8 6x24; ocm[512] u8 6x24 "
            "-> ocm[896] u8 6x24 %s",
            sp_block(&add, sizeof add));
    sp_line(
        s,
        "sdma4 stx step 1 tile 3 tap 1 wait teng2 2 : ocm[896] u8 6x24; code[24] s32 6 -> io1[0] "
        "u8 6x24");
    sp_assemble(s);
    const float *affine = sp_floats(s, 2 * C, 10.0f, 40.0f);
    sp_param(s, 0, affine, 2 * C * 4);
    memcpy(s->io[0], sp_bytes(s, ROWS * C * 2), ROWS * C * 2);
    int16_t *x = sp_alloc(s, ROWS * C * 2);
    for (int i = 0; i < ROWS; i++)
        for (int c = 0; c < C; c++)
            x[i * C + c] =
                gather[i] < 0 ? seven : ((const int16_t *)(void *)s->io[0])[gather[i] * C + c];
    uint8_t *normed = sp_alloc(s, ROWS * C), *turned = sp_alloc(s, ROWS * C),
            *sum = sp_alloc(s, ROWS * C), *y = sp_alloc(s, ROWS * C);
    const cyg_kbuf in[] = {sp_buf(x, CYG_TYPE_S16, SP_DIMS(ROWS, C)),
                           sp_buf(affine, CYG_TYPE_F32, SP_DIMS(C)),
                           sp_buf(affine + C, CYG_TYPE_F32, SP_DIMS(C))};
    const cyg_kbuf out = sp_buf(normed, CYG_TYPE_U8, SP_DIMS(ROWS, C));
    sp_reference(s, CYG_KOP_i_layernorm, &norm, in, 3, &out, 1);
    for (int i = 0; i < ROWS; i++)
        for (int c = 0; c < C; c++)
            turned[i * C + c] = normed[scatter[i] * C + (c + C / 2) % C];
    const cyg_kbuf terms[] = {sp_buf(turned, CYG_TYPE_U8, SP_DIMS(ROWS, C)),
                              sp_buf(normed, CYG_TYPE_U8, SP_DIMS(ROWS, C))};
    const cyg_kbuf total = sp_buf(sum, CYG_TYPE_U8, SP_DIMS(ROWS, C));
    sp_reference(s, CYG_KOP_i_eltwise, &add, terms, 2, &total, 1);
    for (int i = 0; i < ROWS; i++)
        memcpy(y + scatter[i] * C, sum + i * C, C);
    s->want = y;
}

void sp_reload(sp_program *s)
{
    enum { ROWS = 24, K = 64, N = 64, HALF = N / 2 };
    sp_begin(s, 5);
    const cyg_kp_ilinear p = {.act = CYG_ACT_NONE, .sat = u8_sat};
    sp_line(s, "memory ocm 8192 swap 0 param 4608 code 0 macs %d", ROWS * K * N);
    sp_line(s, "io in \"x\" bytes %d tensor 0", ROWS * K);
    sp_line(s, "io out \"y\" bytes %d tensor 1", ROWS * N);
    sp_line(s, "step \"fc\"\ntap step 0 output 0 at ocm[4096] bytes %d", ROWS * N);
    /* OCM: x 0, w 1536, bias 3584, M 3712, y 4096 */
    sp_line(s, "sdma4 ld step 0 tile 0 : io0[0] u8 24x64 -> ocm[0] u8 24x64");
    for (int half = 0; half < 2; half++) {
        sp_line(s, "sdma4 ld step 0 tile %d%s : param[%d] s8 32x64 -> ocm[1536] s8 32x64", half,
                half == 0 ? "" : " wait conv0 1", half * HALF * K);
        sp_line(s, "sdma4 ld step 0 tile %d : param[%d] s32 32 -> ocm[3584] s32 32", half,
                N * K + half * HALF * 4);
        sp_line(s, "sdma4 ld step 0 tile %d : param[%d] f32 32 -> ocm[3712] f32 32", half,
                N * K + N * 4 + half * HALF * 4);
        sp_line(
            s,
            "conv0 conv.linear step 0 tile %d tap 0 wait sdma4 %d : ocm[0] u8 24x64; ocm[1536] s8 "
            "32x64; ocm[3584] s32 32; ocm[3712] f32 32 -> ocm[%d] u8 24x32/64,1 %s",
            half, half == 0 ? 4 : 7, 4096 + half * HALF, sp_block(&p, sizeof p));
    }
    sp_line(s, "sdma4 st step 0 tile 0 wait conv0 2 : ocm[4096] u8 24x64 -> io1[0] u8 24x64");
    sp_assemble(s);
    const void *w = sp_bytes(s, N * K), *bias = sp_ints(s, N, 3000),
               *m = sp_floats(s, N, 1e-3f, 4e-3f);
    sp_param(s, 0, w, N * K);
    sp_param(s, N * K, bias, N * 4);
    sp_param(s, N * K + N * 4, m, N * 4);
    memcpy(s->io[0], sp_bytes(s, ROWS * K), ROWS * K);
    void *y = sp_alloc(s, ROWS * N);
    const cyg_kbuf in[] = {
        sp_buf(s->io[0], CYG_TYPE_U8, SP_DIMS(ROWS, K)), sp_buf(w, CYG_TYPE_S8, SP_DIMS(N, K)),
        sp_buf(bias, CYG_TYPE_S32, SP_DIMS(N)), sp_buf(m, CYG_TYPE_F32, SP_DIMS(N))};
    const cyg_kbuf out = sp_buf(y, CYG_TYPE_U8, SP_DIMS(ROWS, N));
    sp_reference(s, CYG_KOP_i_linear, &p, in, 4, &out, 1);
    s->want = y;
}

const sp_maker sp_makers[] = {sp_linear, sp_conv, sp_attention, sp_rows, sp_reload};
const size_t sp_maker_count = CYG_COUNT(sp_makers);

void sp_write_package(sp_program *s, const char *path, uint32_t subgraphs)
{
    cyg_ctx ctx;
    cyg_program p = {.batch = 1};
    cyg_subgraph g[2] = {{0}};
    uint32_t ids[SP_MOST_IO], count = s->program.io_count;
    cyg_ctx_init(&ctx);
    for (uint32_t i = 0; i < count; i++) {
        const int64_t bytes = (int64_t)s->program.io[i].bytes;
        const bool is_out = s->program.io[i].is_output;
        const cyg_tensor t = {.name = s->program.io[i].name,
                              .type = CYG_TYPE_U8,
                              .rank = 2,
                              .dims = {1, bytes},
                              .kind = is_out ? CYG_TENSOR_OUTPUT : CYG_TENSOR_INPUT,
                              .arena_offset = p.arena_bytes};
        p.arena_bytes += ((uint64_t)bytes + 63) / 64 * 64;
        ids[i] = cyg_program_add_tensor(&p, &s->arena, &t);
    }
    const cyg_tensor inner = {
        .name = "w", .type = CYG_TYPE_S8, .rank = 1, .dims = {1000000}, .kind = CYG_TENSOR_INNER};
    const uint32_t w = cyg_program_add_tensor(&p, &s->arena, &inner);
    const uint32_t in[] = {ids[0], w};
    for (uint32_t i = 0; i < s->program.tap_count; i++) {
        const cyg_tensor left = {.name = "left",
                                 .type = CYG_TYPE_U8,
                                 .rank = 1,
                                 .dims = {(int64_t)s->program.taps[i].bytes},
                                 .kind = CYG_TENSOR_INNER};
        const bool is_last = i + 1 == s->program.tap_count;
        const uint32_t out =
            is_last ? ids[count - 1] : cyg_program_add_tensor(&p, &s->arena, &left);
        const cyg_step step = {.name = is_last ? "the step" : "a step before",
                               .sources = "a,b",
                               .op = CYG_KOP_i_linear,
                               .in_count = 2,
                               .out_count = 1,
                               .in = in,
                               .out = &out,
                               .params = "",
                               .params_size = 0,
                               .macs = s->program.macs};
        assert_true(cyg_program_add_step(&p, &s->arena, &step));
    }
    p.inputs = ids;
    p.input_count = count - 1;
    p.outputs = &ids[count - 1];
    p.output_count = 1;
    for (uint32_t i = 0; i < subgraphs; i++) {
        assert_int_equal(cyg_npu_subgraph_make(&ctx, &s->machine, &s->program, &s->arena, &g[i]),
                         CYG_OK);
        g[i].name = "subgraph_npu_0";
        g[i].step_count = s->program.tap_count;
    }
    const cyg_package_content content = {.programs = &p,
                                         .program_count = 1,
                                         .subgraphs = g,
                                         .subgraph_count = subgraphs,
                                         .meta_json = "{}"};
    assert_int_equal(cyg_package_write_content(&ctx, path, &content), CYG_OK);
}
