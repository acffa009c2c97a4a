/* The code of one path. `kernel.c` includes it once for each, with these macros:
   GD_PATH its name, GD_TARGET the attribute that allows its instructions, GD_STATE the type of
   8-bit states, GD_LANES the numbers in a vector, and perhaps GD_HAS_AVX2 and the like. */

#define GD_VF GD_NAME(floats)
#define GD_VI GD_NAME(ints)
typedef float GD_VF __attribute__((vector_size(4 * GD_LANES), aligned(4), may_alias));
typedef int32_t GD_VI __attribute__((vector_size(4 * GD_LANES), aligned(4), may_alias));
#define GD_VS GD_NAME(states)
typedef GD_STATE GD_VS __attribute__((vector_size(GD_LANES * sizeof(GD_STATE)), aligned(1), may_alias));
#define GD_LOADF(p) (*(const GD_VF *)(p))
#define GD_LOADI(p) (*(const GD_VI *)(p))
#define GD_SPLAT(x) ((x) - (GD_VF){0}) /* a sum would turn -0 into 0 */

/* -- one step of a product: accumulators += activations * weights ------------------------------- */
/* GROUP is the number of neighboring inputs that one step multiplies, VECTORS the number of vectors
   of outputs in a block, and OUTS the number of outputs in a vector. */

#if defined(GD_HAS_AVX2)
#define GD_ACC __m256i
#define GD_OUTS 8
#define GD_VECTORS 2
#define GD_GROUP_BYTE 4
#define GD_GROUP_SHORT 2
#define GD_W __m256i
#define GD_LOADW_SHORT(p) _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(p)))
#define GD_STEP_SHORT(acc, a, w) _mm256_add_epi32(acc, _mm256_madd_epi16(a, w))
#define GD_A __m256i
#define GD_LOADA(p) _mm256_set1_epi32(gd_int_at(p))
#define GD_LOADACC(p) _mm256_loadu_si256((const __m256i *)(p))
#define GD_STOREACC(p, v) _mm256_storeu_si256((__m256i *)(p), v)
#define GD_MIN(a, b) (GD_VF)_mm256_min_ps((__m256)(a), (__m256)(b))
#define GD_MAX(a, b) (GD_VF)_mm256_max_ps((__m256)(a), (__m256)(b))
#elif defined(GD_HAS_VNNI)
#define GD_ACC __m512i
#define GD_OUTS 16
#define GD_VECTORS 4
#define GD_GROUP_BYTE 4
#define GD_GROUP_SHORT 2
#define GD_W __m512i
#define GD_LOADW_BYTE(p) _mm512_loadu_si512(p)
#define GD_LOADW_SHORT(p) _mm512_cvtepi8_epi16(_mm256_loadu_si256((const __m256i *)(p)))
#define GD_STEP_BYTE(acc, a, w) _mm512_dpbusd_epi32(acc, a, w)
#define GD_STEP_SHORT(acc, a, w) _mm512_dpwssd_epi32(acc, a, w)
#define GD_A __m512i
#define GD_LOADA(p) _mm512_set1_epi32(gd_int_at(p))
#define GD_LOADACC(p) _mm512_loadu_si512(p)
#define GD_STOREACC(p, v) _mm512_storeu_si512(p, v)
#define GD_MIN(a, b) (GD_VF)_mm512_min_ps((__m512)(a), (__m512)(b))
#define GD_MAX(a, b) (GD_VF)_mm512_max_ps((__m512)(a), (__m512)(b))
#elif defined(GD_HAS_NEON)
#define GD_ACC int32x4_t
#define GD_OUTS 4
#define GD_VECTORS 4
#define GD_GROUP_BYTE 4
#define GD_GROUP_SHORT 2
#define GD_W int8x16_t
#define GD_LOADW_BYTE(p) vld1q_s8(p)
#define GD_LOADW_SHORT(p) vcombine_s8(vld1_s8(p), vdup_n_s8(0))
#define GD_STEP_BYTE(acc, a, w) vdotq_s32(acc, w, vreinterpretq_s8_s32(a))
#define GD_STEP_SHORT(acc, a, w) GD_NAME(step_short)(acc, a, w)
#define GD_A int32x4_t
#define GD_LOADA(p) vdupq_n_s32(gd_int_at(p))
#define GD_LOADACC(p) vld1q_s32(p)
#define GD_STOREACC(p, v) vst1q_s32(p, v)
GD_INLINE GD_TARGET int32x4_t GD_NAME(step_short)(int32x4_t acc, int32x4_t a, int8x16_t w) {
    int16x8_t wide = vmovl_s8(vget_low_s8(w)), pairs = vreinterpretq_s16_s32(a);
    int32x4_t low = vmull_s16(vget_low_s16(wide), vget_low_s16(pairs));
    int32x4_t high = vmull_s16(vget_high_s16(wide), vget_high_s16(pairs));
    return vaddq_s32(acc, vpaddq_s32(low, high));
}
#elif defined(GD_HAS_WASM)
#define GD_ACC v128_t
#define GD_OUTS 4
#define GD_VECTORS 2
#define GD_GROUP_BYTE 2
#define GD_GROUP_SHORT 2
#define GD_W v128_t
#define GD_LOADW_BYTE(p) wasm_i16x8_load8x8(p)
#define GD_LOADW_SHORT GD_LOADW_BYTE
#define GD_STEP_BYTE(acc, a, w) wasm_i32x4_add(acc, wasm_i32x4_dot_i16x8(a, w))
#define GD_STEP_SHORT GD_STEP_BYTE
#define GD_A v128_t
#define GD_LOADA(p) wasm_v128_load32_splat(p)
#define GD_LOADACC(p) wasm_v128_load(p)
#define GD_STOREACC(p, v) wasm_v128_store(p, v)
#define GD_MIN(a, b) (GD_VF)wasm_f32x4_pmin((v128_t)(b), (v128_t)(a)) /* a < b ? a : b */
#define GD_MAX(a, b) (GD_VF)wasm_f32x4_pmax((v128_t)(b), (v128_t)(a))
#else
#define GD_ACC GD_VI
#define GD_OUTS 4
#define GD_VECTORS 2
#define GD_GROUP_BYTE 2
#define GD_GROUP_SHORT 2
#define GD_W GD_NAME(pairs)
typedef struct {
    GD_VI first, second;
} GD_W;
#define GD_A GD_W
#define GD_LOADW_BYTE(p) GD_NAME(load_weights)(p)
#define GD_LOADW_SHORT GD_LOADW_BYTE
#define GD_STEP_BYTE(acc, a, w) ((acc) + (a).first * (w).first + (a).second * (w).second)
#define GD_STEP_SHORT GD_STEP_BYTE
#define GD_LOADA(p) GD_NAME(load_pair)((const int16_t *)(p))
#define GD_LOADACC(p) GD_LOADI(p)
#define GD_STOREACC(p, v) (*(GD_VI *)(p) = (v))
GD_INLINE GD_W GD_NAME(load_weights)(const int8_t *p) {
    GD_W w = {{p[0], p[2], p[4], p[6]}, {p[1], p[3], p[5], p[7]}};
    return w;
}
GD_INLINE GD_W GD_NAME(load_pair)(const int16_t *p) {
    GD_W a = {{p[0], p[0], p[0], p[0]}, {p[1], p[1], p[1], p[1]}};
    return a;
}
#endif

#if !defined(GD_MIN)
#define GD_MIN(a, b) GD_NAME(pick)((a) < (b), a, b)
#define GD_MAX(a, b) GD_NAME(pick)((a) > (b), a, b)
GD_INLINE GD_TARGET GD_VF GD_NAME(pick)(GD_VI mask, GD_VF a, GD_VF b) {
    return (GD_VF)(((GD_VI)a & mask) | ((GD_VI)b & ~mask));
}
#endif

#ifndef GD_INT_AT
#define GD_INT_AT
GD_INLINE int32_t gd_int_at(const void *p) {
    int32_t value;
    memcpy(&value, p, sizeof value);
    return value;
}
#endif

/* The number that is added to an 8-bit state before it is stored. */
#if defined(GD_HAS_VNNI) || defined(GD_HAS_AVX2)
#define GD_STATE_SHIFT 128
#else
#define GD_STATE_SHIFT 0
#endif

/* -- products ----------------------------------------------------------------------------------- */

#define GD_BLOCK (GD_VECTORS * GD_OUTS)
#define GD_UNROLL _Pragma("GCC unroll 8")

/* Define the product of up to six rows with one block of outputs, and that of any rows with all
   blocks. The six rows share each weight that is loaded. */
#define GD_DEFINE_PRODUCT(kind, ROW, GROUP, LOADW, STEP)                                           \
    GD_INLINE GD_TARGET void GD_NAME(tile_##kind)(                                                 \
        const int n_rows, const int8_t *w, const ROW *const *rows, int32_t n_in,                   \
        const int32_t *starts, int32_t *out, int64_t n_out) {                                      \
        GD_ACC acc[GD_TILE_ROWS][GD_VECTORS];                                                      \
        GD_UNROLL for (int r = 0; r < n_rows; r++)                                                 \
            GD_UNROLL for (int v = 0; v < GD_VECTORS; v++)                                         \
                acc[r][v] = GD_LOADACC(starts + v * GD_OUTS);                                      \
        for (int32_t k = 0; k < n_in; k += GROUP) {                                                \
            GD_W wide[GD_VECTORS];                                                                 \
            GD_UNROLL for (int v = 0; v < GD_VECTORS; v++)                                         \
                wide[v] = LOADW(w + v * GD_OUTS * GROUP);                                          \
            w += GD_BLOCK * GROUP;                                                                 \
            GD_UNROLL for (int r = 0; r < n_rows; r++) {                                           \
                GD_A a = GD_LOADA(rows[r] + k);                                                    \
                GD_UNROLL for (int v = 0; v < GD_VECTORS; v++)                                     \
                    acc[r][v] = STEP(acc[r][v], a, wide[v]);                                       \
            }                                                                                      \
        }                                                                                          \
        GD_UNROLL for (int r = 0; r < n_rows; r++)                                                 \
            GD_UNROLL for (int v = 0; v < GD_VECTORS; v++)                                         \
                GD_STOREACC(out + r * n_out + v * GD_OUTS, acc[r][v]);                             \
    }                                                                                              \
    static GD_TARGET void GD_NAME(multiply_##kind)(const gd_product *p, const ROW *const *rows,    \
                                                   int32_t n_rows, int32_t *out) {                 \
        const int8_t *w = p->weights;                                                              \
        for (int32_t o = 0; o < p->n_out; o += GD_BLOCK, w += (int64_t)GD_BLOCK * p->n_in)         \
            for (int32_t r = 0; r < n_rows; r += GD_TILE_ROWS) {                                   \
                int32_t *to = out + (int64_t)r * p->n_out + o;                                     \
                switch (n_rows - r) {                                                              \
                    GD_CASE(kind, 1) GD_CASE(kind, 2) GD_CASE(kind, 3)                             \
                    GD_CASE(kind, 4) GD_CASE(kind, 5) default: GD_TILE(kind, 6)                    \
                }                                                                                  \
            }                                                                                      \
    }
#define GD_TILE(kind, n) \
    GD_NAME(tile_##kind)(n, w, rows + r, p->n_in, p->starts + o, to, p->n_out);
#define GD_CASE(kind, n) case n: GD_TILE(kind, n) break;

#if !defined(GD_HAS_AVX2)
GD_DEFINE_PRODUCT(byte, GD_STATE, GD_GROUP_BYTE, GD_LOADW_BYTE, GD_STEP_BYTE)
#endif
GD_DEFINE_PRODUCT(short, int16_t, GD_GROUP_SHORT, GD_LOADW_SHORT, GD_STEP_SHORT)

/* The same in single precision: each sum begins at 0 and takes the inputs in their order. */
#define GD_FLOAT_VECTORS 2
#define GD_FLOAT_BLOCK (GD_FLOAT_VECTORS * GD_LANES)

GD_INLINE GD_TARGET void GD_NAME(tile_float)(const int n_rows, const float *w,
                                             const float *const *rows, int32_t n_in, float *out,
                                             int64_t n_out) {
    GD_VF acc[GD_TILE_ROWS][GD_FLOAT_VECTORS];
    GD_UNROLL for (int r = 0; r < n_rows; r++)
        GD_UNROLL for (int v = 0; v < GD_FLOAT_VECTORS; v++) acc[r][v] = (GD_VF){0};
    for (int32_t k = 0; k < n_in; k++, w += GD_FLOAT_BLOCK) {
        GD_UNROLL for (int r = 0; r < n_rows; r++) {
            GD_VF a = GD_SPLAT(rows[r][k]);
            GD_UNROLL for (int v = 0; v < GD_FLOAT_VECTORS; v++)
                acc[r][v] = acc[r][v] + a * GD_LOADF(w + v * GD_LANES);
        }
    }
    GD_UNROLL for (int r = 0; r < n_rows; r++)
        GD_UNROLL for (int v = 0; v < GD_FLOAT_VECTORS; v++)
            *(GD_VF *)(out + r * n_out + v * GD_LANES) = acc[r][v];
}

#undef GD_TILE
#define GD_TILE(kind, n) GD_NAME(tile_##kind)(n, w, rows + r, p->n_in, to, p->n_out);
static GD_TARGET void GD_NAME(multiply_float)(const gd_product *p, const float *const *rows,
                                              int32_t n_rows, float *out) {
    const float *w = p->weights;
    for (int32_t o = 0; o < p->n_out; o += GD_FLOAT_BLOCK, w += (int64_t)GD_FLOAT_BLOCK * p->n_in)
        for (int32_t r = 0; r < n_rows; r += GD_TILE_ROWS) {
            float *to = out + (int64_t)r * p->n_out + o;
            switch (n_rows - r) {
                GD_CASE(float, 1) GD_CASE(float, 2) GD_CASE(float, 3)
                GD_CASE(float, 4) GD_CASE(float, 5) default: GD_TILE(float, 6)
            }
        }
}
#undef GD_TILE
#undef GD_CASE

#if defined(GD_HAS_AVX2)
/* AVX2 adds two products of 8-bit numbers in 16 bits, and saturates. States are at most 255 here
   and weights at most 63, so one such sum always fits. Two of them added fit as well if the weights
   of either sign among the four add up to at most 128. This holds for most weights. Each block of
   16 outputs has its inputs in groups of eight: first the `n_safe` groups in which two sums may be
   added before they are widened, then the others. `order` holds n_safe and then the groups. */
#define GD_MOST_WEIGHTS 128
#define GD_TILE4 4

GD_INLINE GD_TARGET void gd_tile_byte_avx2(const int n_rows, const int8_t *w,
                                           const uint8_t *const *rows, int32_t n_groups,
                                           const int32_t *order, const int32_t *starts,
                                           int32_t *out, int64_t n_out) {
    const __m256i one = _mm256_set1_epi16(1);
    const int32_t n_safe = *order++;
    __m256i acc[GD_TILE4][2];
    GD_UNROLL for (int r = 0; r < n_rows; r++) {
        acc[r][0] = GD_LOADACC(starts);
        acc[r][1] = GD_LOADACC(starts + 8);
    }
    for (int32_t i = 0; i < n_safe; i++, w += 128) {
        const int64_t k = order[i];
        GD_UNROLL for (int v = 0; v < 2; v++) {
            const __m256i w0 = _mm256_loadu_si256((const __m256i *)(w + 32 * v));
            const __m256i w1 = _mm256_loadu_si256((const __m256i *)(w + 32 * v + 64));
            GD_UNROLL for (int r = 0; r < n_rows; r++) {
                const __m256i first = _mm256_maddubs_epi16(GD_LOADA(rows[r] + k), w0);
                const __m256i second = _mm256_maddubs_epi16(GD_LOADA(rows[r] + k + 4), w1);
                const __m256i sum = _mm256_madd_epi16(_mm256_add_epi16(first, second), one);
                acc[r][v] = _mm256_add_epi32(acc[r][v], sum);
            }
        }
    }
    for (int32_t i = n_safe; i < n_groups; i++, w += 128) {
        const int64_t k = order[i];
        GD_UNROLL for (int h = 0; h < 4; h++) {
            const __m256i wide = _mm256_loadu_si256((const __m256i *)(w + 32 * h));
            GD_UNROLL for (int r = 0; r < n_rows; r++) {
                const __m256i sum = _mm256_maddubs_epi16(GD_LOADA(rows[r] + k + h / 2 * 4), wide);
                acc[r][h & 1] = _mm256_add_epi32(acc[r][h & 1], _mm256_madd_epi16(sum, one));
            }
        }
    }
    GD_UNROLL for (int r = 0; r < n_rows; r++) {
        GD_STOREACC(out + r * n_out, acc[r][0]);
        GD_STOREACC(out + r * n_out + 8, acc[r][1]);
    }
}

static GD_TARGET void gd_multiply_byte_avx2(const gd_product *p, const uint8_t *const *rows,
                                            int32_t n_rows, int32_t *out) {
    const int8_t *w = p->weights;
    const int32_t n_groups = p->n_in / 8;
    const int32_t *order = (const int32_t *)(w + (int64_t)p->n_in * p->n_out);
    for (int32_t o = 0; o < p->n_out; o += 16, w += 16 * p->n_in, order += n_groups + 1)
        for (int32_t r = 0; r < n_rows; r += GD_TILE4) {
            int32_t *to = out + (int64_t)r * p->n_out + o;
            switch (n_rows - r) {
                case 1: gd_tile_byte_avx2(1, w, rows + r, n_groups, order, p->starts + o, to, p->n_out); break;
                case 2: gd_tile_byte_avx2(2, w, rows + r, n_groups, order, p->starts + o, to, p->n_out); break;
                case 3: gd_tile_byte_avx2(3, w, rows + r, n_groups, order, p->starts + o, to, p->n_out); break;
                default: gd_tile_byte_avx2(4, w, rows + r, n_groups, order, p->starts + o, to, p->n_out);
            }
        }
}

/* Return whether two sums of a group of eight inputs may be added in 16 bits, for 16 outputs. */
static int gd_is_safe(const int8_t *weights, int64_t n_in) {
    for (int o = 0; o < 16; o++, weights += n_in)
        for (int first = 0; first < 4; first += 2) {
            int above = 0, below = 0;
            for (int i = 0; i < 4; i++) {
                const int value = weights[first + (i & 1) + i / 2 * 4];
                if (value > 0) above += value;
                else below -= value;
            }
            if (above > GD_MOST_WEIGHTS || below > GD_MOST_WEIGHTS) return 0;
        }
    return 1;
}

static void gd_pack_byte_avx2(const int8_t *weights, int32_t n_in, int32_t n_out, int8_t *packed) {
    int32_t *order = (int32_t *)(packed + (int64_t)n_in * n_out);
    for (int32_t o = 0; o < n_out; o += 16) {
        const int8_t *from = weights + (int64_t)o * n_in;
        int32_t *n_safe = order++;
        *n_safe = 0;
        for (int safe = 1; safe >= 0; safe--)
            for (int32_t k = 0; k < n_in; k += 8) {
                if (gd_is_safe(from + k, n_in) != safe) continue;
                *n_safe += safe;
                *order++ = k;
                for (int half = 0; half < 8; half += 4)
                    for (int i = 0; i < 16; i++, packed += 4)
                        memcpy(packed, from + (int64_t)i * n_in + k + half, 4);
            }
    }
}
#endif

static int64_t GD_NAME(packed_bytes)(int32_t kind, int32_t n_in, int32_t n_out) {
    const int64_t n = (int64_t)n_in * n_out;
    if (kind == GD_FLOAT) return n * 4;
#if defined(GD_HAS_AVX2)
    if (kind == GD_BYTE) return n + (int64_t)n_out / 16 * (n_in / 8 + 1) * 4;
#endif
    return n;
}

static void GD_NAME(pack)(int32_t kind, const void *weights, int32_t n_in, int32_t n_out,
                          void *packed, int32_t *starts) {
    const int32_t block = kind == GD_FLOAT ? GD_FLOAT_BLOCK : GD_BLOCK;
    const int32_t group = kind == GD_FLOAT ? 1 : kind == GD_BYTE ? GD_GROUP_BYTE : GD_GROUP_SHORT;
    int64_t place = 0;
    int is_done = 0;
#if defined(GD_HAS_AVX2)
    if (kind == GD_BYTE) gd_pack_byte_avx2(weights, n_in, n_out, packed), is_done = 1;
#endif
    for (int32_t o = 0; o < n_out && !is_done; o += block)
        for (int32_t k = 0; k < n_in; k += group)
            for (int32_t i = 0; i < block; i++)
                for (int32_t g = 0; g < group; g++, place++) {
                    const int64_t from = (int64_t)(o + i) * n_in + k + g;
                    if (kind == GD_FLOAT)
                        ((float *)packed)[place] = ((const float *)weights)[from];
                    else
                        ((int8_t *)packed)[place] = ((const int8_t *)weights)[from];
                }
    for (int32_t o = 0; o < n_out; o++) {
        int32_t sum = 0;
        for (int32_t k = 0; k < n_in && kind == GD_BYTE; k++)
            sum += ((const int8_t *)weights)[(int64_t)o * n_in + k];
        starts[o] = -GD_STATE_SHIFT * sum; /* takes away what is added to the states */
    }
}

static GD_TARGET int32_t GD_NAME(dense)(int32_t kind, const gd_product *p, const float *bias,
                                        const void *x, int64_t n_rows, float *out) {
    const void *rows[GD_CHUNK];
    const int64_t size = (int64_t)p->n_in * (kind == GD_FLOAT ? sizeof(float) : sizeof(int16_t));
    for (int64_t first = 0; first < n_rows; first += GD_CHUNK) {
        const int32_t n = (int32_t)(n_rows - first < GD_CHUNK ? n_rows - first : GD_CHUNK);
        float *to = out + first * p->n_out;
        for (int32_t r = 0; r < n; r++) rows[r] = (const char *)x + (first + r) * size;
        if (kind == GD_FLOAT)
            GD_NAME(multiply_float)(p, (const float *const *)rows, n, to);
        else
            GD_NAME(multiply_short)(p, (const int16_t *const *)rows, n, (int32_t *)to);
        for (int32_t r = 0; r < n; r++, to += p->n_out)
            for (int32_t o = 0; o < p->n_out; o += GD_LANES) {
                GD_VF sum = GD_LOADF(to + o);
                if (kind != GD_FLOAT)
                    sum = __builtin_convertvector(GD_LOADI(to + o), GD_VF) * GD_LOADF(p->scales + o);
                *(GD_VF *)(to + o) = sum + GD_LOADF(bias + o);
            }
    }
    return 0;
}

/* -- LSTM --------------------------------------------------------------------------------------- */

/* The hyperbolic tangent as a quotient of polynomials: within 6e-5 for 8-bit states, which are
   multiples of 1/127, and within 5e-7 in single precision. */
typedef struct {
    GD_VF above, below;
} GD_NAME(quotient);

GD_INLINE GD_TARGET GD_NAME(quotient) GD_NAME(tanh)(const int kind, GD_VF x) {
    GD_NAME(quotient) q;
    if (kind == GD_BYTE) {
        x = GD_MAX(GD_MIN(x, GD_SPLAT(5.25f)), GD_SPLAT(-5.25f));
        GD_VF u = x * x;
        q.above = ((6.308347801677883e-04f * u + 1.0087330639362335e-01f) * u + 9.997535943984985e-01f) * x;
        q.below = (1.2390084564685822e-02f * u + 4.335137903690338e-01f) * u + 1.0f;
    } else {
        x = GD_MAX(GD_MIN(x, GD_SPLAT(8.25f)), GD_SPLAT(-8.25f));
        GD_VF u = x * x;
        q.above = (((1.1051458386646118e-05f * u + 2.91448924690485e-03f) * u + 1.2890785932540894e-01f) * u +
                   9.999991655349731e-01f) * x;
        q.below = (((2.3419632100285526e-07f * u + 2.3361368221230805e-04f) * u + 2.36637145280838e-02f) * u +
                   4.6223822236061096e-01f) * u + 1.0f;
    }
    return q;
}

/* The logistic function of x is above / (2 * below) of the result. */
GD_INLINE GD_TARGET GD_NAME(quotient) GD_NAME(logistic)(const int kind, GD_VF x) {
    GD_NAME(quotient) q = GD_NAME(tanh)(kind, 0.5f * x);
    q.above = q.below + q.above;
    return q;
}

/* Compute the new cells and states of one word. `input` points to what the gates get from the
   layer's input: single-precision numbers with the bias in the first layer, else sums. */
GD_INLINE GD_TARGET void GD_NAME(update)(const int kind, const int is_first,
                                         const gd_direction *d, int32_t n_units, const void *input,
                                         const void *state, float *cells, void *out) {
    for (int32_t u = 0; u < n_units; u += GD_LANES) {
        GD_VF gates[4];
        GD_UNROLL for (int g = 0; g < 4; g++) {
            const int64_t o = (int64_t)g * n_units + u;
            GD_VF kept, read = GD_LOADF((const float *)input + o);
            if (!is_first) {
                if (kind == GD_BYTE)
                    read = __builtin_convertvector(GD_LOADI((const int32_t *)input + o), GD_VF) *
                           GD_LOADF(d->input.scales + o);
                read = read + GD_LOADF(d->bias + o);
            }
            kept = GD_LOADF((const float *)state + o);
            if (kind == GD_BYTE)
                kept = __builtin_convertvector(GD_LOADI((const int32_t *)state + o), GD_VF) *
                       GD_LOADF(d->state.scales + o);
            gates[g] = read + kept;
        }
        GD_NAME(quotient) i = GD_NAME(logistic)(kind, gates[0]);
        GD_NAME(quotient) f = GD_NAME(logistic)(kind, gates[1]);
        GD_NAME(quotient) g = GD_NAME(tanh)(kind, gates[2]);
        GD_NAME(quotient) o = GD_NAME(logistic)(kind, gates[3]);
        /* f * cell + i * g, and o * tanh(cell), each with a single division. */
        GD_VF both = i.below * g.below;
        GD_VF cell = (f.above * GD_LOADF(cells + u) * both + i.above * g.above * f.below) /
                     (f.below * (both + both));
        *(GD_VF *)(cells + u) = cell;
        GD_NAME(quotient) t = GD_NAME(tanh)(kind, cell);
        GD_VF value = (o.above * t.above) / ((o.below + o.below) * t.below);
        if (kind == GD_FLOAT) {
            *(GD_VF *)((float *)out + u) = value;
        } else {
            /* Adding 1.5 * 2^23 rounds to the nearest whole number, which then stands in the
               lowest bits. */
            GD_VI rounded = (GD_VI)(value * 127.0f + 12582912.0f) - 0x4B400000;
            *(GD_VS *)((GD_STATE *)out + u) =
                __builtin_convertvector(rounded + GD_STATE_SHIFT, GD_VS);
        }
    }
}

GD_INLINE GD_TARGET void GD_NAME(multiply)(const int kind, const gd_product *p,
                                           const void *const *rows, int32_t n_rows, void *out) {
    if (kind == GD_FLOAT)
        GD_NAME(multiply_float)(p, (const float *const *)rows, n_rows, out);
    else
        GD_NAME(multiply_byte)(p, (const GD_STATE *const *)rows, n_rows, out);
}

/* Read windows with one direction of one layer. Words are numbered through all windows; window w
   begins at firsts[w]. States have `width` numbers per word in both buffers. */
GD_INLINE GD_TARGET void GD_NAME(read_direction)(
    const int kind, const int is_first, const gd_network *net, int32_t layer, int32_t direction,
    const float *table, const int32_t *rows, const int32_t *lengths, const int64_t *firsts,
    int32_t n_windows, const char *before, char *after, char *scratch) {
    const gd_direction *d = net->directions + layer * net->n_directions + direction;
    const int32_t n_units = net->n_units, n_gates = 4 * n_units;
    const int64_t size = kind == GD_FLOAT ? sizeof(float) : sizeof(GD_STATE);
    const int64_t width = (int64_t)net->n_directions * n_units * size;
    float *cells = (float *)scratch;
    int32_t *kept = (int32_t *)(cells + (int64_t)n_windows * n_units);
    int32_t *read = kept + (int64_t)n_windows * n_gates;
    const void *places[GD_CHUNK];
    int32_t n_steps = GD_CHUNK / n_windows, n_now = n_windows;
    if (n_steps < 1) n_steps = 1;
    memset(cells, 0, (size_t)n_windows * n_units * sizeof(float));
    memset(kept, 0, (size_t)n_windows * n_gates * sizeof(int32_t));
    after += (int64_t)direction * n_units * size;
    for (int32_t first = 0; first < lengths[0]; first += n_steps) {
        const int32_t last = first + n_steps < lengths[0] ? first + n_steps : lengths[0];
        if (!is_first) {
            int32_t n = 0, n_left = n_now;
            for (int32_t t = first; t < last; t++) {
                while (lengths[n_left - 1] <= t) n_left--;
                for (int32_t w = 0; w < n_left; w++, n++) {
                    const int64_t word = firsts[w] + (direction ? lengths[w] - 1 - t : t);
                    places[n] = before + word * width;
                }
            }
            GD_NAME(multiply)(kind, &d->input, places, n, read);
        }
        const int32_t *input = read;
        for (int32_t t = first; t < last; t++) {
            while (lengths[n_now - 1] <= t) n_now--;
            if (t) {
                for (int32_t w = 0; w < n_now; w++) {
                    const int64_t word = firsts[w] + (direction ? lengths[w] - t : t - 1);
                    places[w] = after + word * width;
                }
                GD_NAME(multiply)(kind, &d->state, places, n_now, kept);
            }
            for (int32_t w = 0; w < n_now; w++) {
                const int64_t word = firsts[w] + (direction ? lengths[w] - 1 - t : t);
                const void *from = is_first ? (const void *)(table + (int64_t)rows[word] * net->n_columns +
                                                             (int64_t)direction * n_gates)
                                            : (const void *)input;
                GD_NAME(update)(kind, is_first, d, n_units, from, kept + (int64_t)w * n_gates,
                                cells + (int64_t)w * n_units, after + word * width);
                input += n_gates;
            }
        }
    }
}

GD_INLINE GD_TARGET int32_t GD_NAME(read_kind)(const int kind, const gd_network *net,
                                               const float *table, const int32_t *rows,
                                               const int32_t *lengths, int32_t n_windows,
                                               float *out) {
    const int64_t size = kind == GD_FLOAT ? sizeof(float) : sizeof(GD_STATE);
    const int32_t n_states = net->n_directions * net->n_units, n_gates = 4 * net->n_units;
    int64_t n_words = 0;
    for (int32_t w = 0; w < n_windows; w++) n_words += lengths[w];
    const int64_t n_kept = (int64_t)n_windows * (net->n_units + n_gates);
    const int64_t n_scratch = 4 * (n_kept + (int64_t)(GD_CHUNK + n_windows) * n_gates);
    const int64_t n_bytes = n_words * n_states * size + 64;
    int64_t *firsts = malloc((size_t)n_windows * sizeof(int64_t));
    char *scratch = malloc((size_t)n_scratch), *before = malloc((size_t)n_bytes);
    char *after = malloc((size_t)n_bytes);
    const int is_whole = firsts && scratch && before && after;
    if (is_whole) {
        int64_t first = 0;
        for (int32_t w = 0; w < n_windows; w++) firsts[w] = first, first += lengths[w];
        for (int32_t layer = 0; layer < net->n_layers; layer++) {
            for (int32_t d = 0; d < net->n_directions; d++) {
                if (layer == 0)
                    GD_NAME(read_direction)(kind, 1, net, 0, d, table, rows, lengths, firsts,
                                            n_windows, before, after, scratch);
                else
                    GD_NAME(read_direction)(kind, 0, net, layer, d, table, rows, lengths, firsts,
                                            n_windows, before, after, scratch);
            }
            char *swapped = before;
            before = after;
            after = swapped;
        }
        const int32_t n_out = net->tower.n_out;
        if (!n_out) memcpy(out, before, (size_t)(n_words * n_states * size));
        const void *places[GD_CHUNK];
        for (int64_t from = 0; n_out && from < n_words; from += GD_CHUNK) {
            const int32_t n = (int32_t)(n_words - from < GD_CHUNK ? n_words - from : GD_CHUNK);
            for (int32_t r = 0; r < n; r++) places[r] = before + (from + r) * n_states * size;
            float *to = out + from * n_out;
            GD_NAME(multiply)(kind, &net->tower, places, n, to);
            for (int32_t r = 0; r < n; r++, to += n_out) {
                const float *more = table + (int64_t)rows[from + r] * net->n_columns +
                                    (int64_t)net->n_directions * n_gates;
                for (int32_t o = 0; o < n_out; o += GD_LANES) {
                    GD_VF sum = GD_LOADF(to + o);
                    if (kind == GD_BYTE)
                        sum = __builtin_convertvector(GD_LOADI(to + o), GD_VF) *
                              GD_LOADF(net->tower.scales + o);
                    *(GD_VF *)(to + o) = sum + GD_LOADF(more + o);
                }
            }
        }
    }
    free(firsts);
    free(scratch);
    free(before);
    free(after);
    return !is_whole;
}

static GD_TARGET int32_t GD_NAME(read)(const gd_network *net, const float *table,
                                       const int32_t *rows, const int32_t *lengths,
                                       int32_t n_windows, float *out) {
    if (net->kind == GD_FLOAT)
        return GD_NAME(read_kind)(GD_FLOAT, net, table, rows, lengths, n_windows, out);
    return GD_NAME(read_kind)(GD_BYTE, net, table, rows, lengths, n_windows, out);
}

/* -- products with labels ----------------------------------------------------------------------- */

#define GD_PARTS (16 / GD_LANES)

/* A product is the sum of sixteen partial sums, each over every sixteenth number. They are added up
   in pairs. */
GD_INLINE GD_TARGET float GD_NAME(add_up)(const GD_VF *acc) {
    float sums[16];
    GD_UNROLL for (int p = 0; p < GD_PARTS; p++) *(GD_VF *)(sums + p * GD_LANES) = acc[p];
    GD_UNROLL for (int half = 8; half; half /= 2)
        GD_UNROLL for (int i = 0; i < half; i++) sums[i] = sums[i] + sums[i + half];
    return sums[0];
}

GD_INLINE GD_TARGET float GD_NAME(dot)(const float *word, const float *label, int32_t width) {
    GD_VF acc[GD_PARTS];
    GD_UNROLL for (int p = 0; p < GD_PARTS; p++) acc[p] = (GD_VF){0};
    for (int32_t k = 0; k < width; k += 16)
        GD_UNROLL for (int p = 0; p < GD_PARTS; p++)
            acc[p] = acc[p] + GD_LOADF(word + k + p * GD_LANES) * GD_LOADF(label + k + p * GD_LANES);
    return GD_NAME(add_up)(acc);
}

/* The products of some words with some labels; each vector that is loaded serves several of them. */
#define GD_WORDS (GD_PARTS == 1 ? 4 : 2)
#define GD_LABELS (GD_PARTS == 1 ? 4 : GD_PARTS == 2 ? 2 : 1)
GD_INLINE GD_TARGET void GD_NAME(compare_tile)(const int tile_words, const int tile_labels,
                                               const float *words, const float *labels,
                                               int32_t width, float *out, int64_t n_words) {
    GD_VF acc[4][4][GD_PARTS];
    GD_UNROLL for (int l = 0; l < tile_labels; l++)
        GD_UNROLL for (int w = 0; w < tile_words; w++)
            GD_UNROLL for (int p = 0; p < GD_PARTS; p++) acc[l][w][p] = (GD_VF){0};
    for (int32_t k = 0; k < width; k += 16)
        GD_UNROLL for (int p = 0; p < GD_PARTS; p++) {
            const int32_t at = k + p * GD_LANES;
            GD_VF read[4];
            GD_UNROLL for (int w = 0; w < tile_words; w++) read[w] = GD_LOADF(words + w * width + at);
            GD_UNROLL for (int l = 0; l < tile_labels; l++) {
                const GD_VF label = GD_LOADF(labels + l * width + at);
                GD_UNROLL for (int w = 0; w < tile_words; w++)
                    acc[l][w][p] = acc[l][w][p] + read[w] * label;
            }
        }
    GD_UNROLL for (int l = 0; l < tile_labels; l++)
        GD_UNROLL for (int w = 0; w < tile_words; w++)
            out[l * n_words + w] = GD_NAME(add_up)(acc[l][w]);
}

static GD_TARGET void GD_NAME(compare)(const float *words, int64_t n_words, const float *labels,
                                       int64_t n_labels, int32_t width, float *out) {
    for (int64_t first = 0; first < n_words; first += 16) /* a few words stay in the cache */
        for (int64_t l = 0; l < n_labels;) {
            const int64_t last = first + 16 < n_words ? first + 16 : n_words;
            const int is_block = l + GD_LABELS <= n_labels;
            const float *label = labels + l * width;
            float *to = out + l * n_words;
            int64_t w = first;
            for (; is_block && w + GD_WORDS <= last; w += GD_WORDS)
                GD_NAME(compare_tile)(GD_WORDS, GD_LABELS, words + w * width, label, width, to + w, n_words);
            for (; is_block && w < last; w++)
                GD_NAME(compare_tile)(1, GD_LABELS, words + w * width, label, width, to + w, n_words);
            for (; w < last; w++)
                GD_NAME(compare_tile)(1, 1, words + w * width, label, width, to + w, n_words);
            l += is_block ? GD_LABELS : 1;
        }
}

static GD_TARGET void GD_NAME(compare_pairs)(const float *words, const float *labels,
                                             const int64_t *word_of, const int64_t *label_of,
                                             int64_t n_pairs, int32_t width, float *out) {
    for (int64_t i = 0; i < n_pairs; i++)
        out[i] = GD_NAME(dot)(words + word_of[i] * width, labels + label_of[i] * width, width);
}

#undef GD_PARTS
#undef GD_WORDS
#undef GD_LABELS
#undef GD_STATE_SHIFT
#undef GD_FLOAT_VECTORS
#undef GD_FLOAT_BLOCK
#undef GD_DEFINE_PRODUCT
#undef GD_BLOCK
#undef GD_UNROLL
#undef GD_VF
#undef GD_VI
#undef GD_VS
#undef GD_LOADF
#undef GD_LOADI
#undef GD_SPLAT
#undef GD_ACC
#undef GD_OUTS
#undef GD_VECTORS
#undef GD_GROUP_BYTE
#undef GD_GROUP_SHORT
#undef GD_W
#undef GD_A
#undef GD_LOADW_BYTE
#undef GD_LOADW_SHORT
#undef GD_STEP_BYTE
#undef GD_STEP_SHORT
#undef GD_LOADA
#undef GD_LOADACC
#undef GD_STOREACC
#undef GD_MIN
#undef GD_MAX
#undef GD_PATH
#undef GD_TARGET
#undef GD_STATE
#undef GD_LANES
