/* The computations of a student: products with 8-bit or single-precision weights, LSTM layers, the
   word tower and the products with labels.

   Every number is computed the same way on every path. Sums of 8-bit products are whole numbers, so
   their order does not matter. All other sums have a fixed order, and single precision uses only
   additions, multiplications and divisions, which IEEE 754 defines to the last bit. The file must
   therefore be compiled without contraction to fused operations (-ffp-contract=off).

   `oracle.py` computes the same numbers with numpy. The callers in Python check all arguments. */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#if defined(_WIN32)
#define GD_EXPORT __declspec(dllexport)
#elif defined(__wasm__)
#define GD_EXPORT __attribute__((visibility("default"), used))
#else
#define GD_EXPORT __attribute__((visibility("default")))
#endif
#define GD_INLINE static inline __attribute__((always_inline))

enum { GD_FLOAT = 0, GD_BYTE = 1, GD_SHORT = 2 };
enum { GD_PORTABLE = 0, GD_AVX2 = 1, GD_VNNI = 2, GD_NEON = 3, GD_WASM = 4, GD_N_PATHS = 5 };

/* Weights of one product, packed for a path. Widths are padded: n_in to a multiple of 16, n_out to
   a multiple of 64. In single precision there are no scales and starts. */
typedef struct {
    const void *weights;
    const float *scales;  /* by output: what a sum is multiplied with */
    const int32_t *starts; /* by output: what a sum starts from */
    int32_t n_in, n_out;
} gd_product;

/* One direction of an LSTM layer, gates in the order input, forget, cell, output. The products of
   the first layer's inputs come from a table, so it has no `input` and no `bias`. */
typedef struct {
    gd_product input, state;
    const float *bias;
} gd_direction;

/* A network; `directions` holds those of layer 0, then those of layer 1, and so on. Without a tower
   (`n_out` 0) the result is the states of the last layer, which needs single precision. */
typedef struct {
    int32_t path, kind, n_layers, n_directions, n_units, n_columns;
    const gd_direction *directions;
    gd_product tower;
} gd_network;

#define GD_VERSION 3 /* of the functions and structures, as in `library.py` */
#define GD_CHUNK 96 /* rows that are multiplied at once */
#define GD_TILE_ROWS 6

#define GD_NAME2(name, path) gd_##name##_##path
#define GD_NAME1(name, path) GD_NAME2(name, path)
#define GD_NAME(name) GD_NAME1(name, GD_PATH)

/* -- portable ---------------------------------------------------------------------------------- */

#define GD_PATH portable
#define GD_TARGET
#define GD_STATE int16_t
#define GD_LANES 4
#include "paths.h"

/* -- x86 --------------------------------------------------------------------------------------- */

#if defined(__x86_64__) || defined(_M_X64)
#include <cpuid.h>
#include <immintrin.h>
#define GD_X86 1

#define GD_PATH avx2
#define GD_TARGET __attribute__((target("avx2")))
#define GD_STATE uint8_t
#define GD_LANES 8
#define GD_HAS_AVX2
#include "paths.h"
#undef GD_HAS_AVX2

#if !defined(GD_VNNI_TARGET) /* `tests/kernel/emulated_vnni.c` has its own */
#define GD_VNNI_TARGET __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")))
#endif

#define GD_PATH vnni
#define GD_TARGET GD_VNNI_TARGET
#define GD_STATE uint8_t
#define GD_LANES 16
#define GD_HAS_VNNI
#include "paths.h"
#undef GD_HAS_VNNI
#endif

/* -- ARM --------------------------------------------------------------------------------------- */

#if defined(__aarch64__) || defined(_M_ARM64)
#include <arm_neon.h>
#if defined(__linux__)
#include <sys/auxv.h>
#endif
#define GD_ARM 1

#define GD_PATH neon
#define GD_TARGET __attribute__((target(GD_DOTPROD)))
#if defined(__clang__)
#define GD_DOTPROD "dotprod"
#else
#define GD_DOTPROD "+dotprod"
#endif
#define GD_STATE int8_t
#define GD_LANES 4
#define GD_HAS_NEON
#include "paths.h"
#undef GD_HAS_NEON
#endif

/* -- WebAssembly ------------------------------------------------------------------------------- */

#if defined(__wasm_simd128__)
#include <wasm_simd128.h>
#define GD_WASM_SIMD 1

#define GD_PATH wasm
#define GD_TARGET
#define GD_STATE int16_t
#define GD_LANES 4
#define GD_HAS_WASM
#include "paths.h"
#undef GD_HAS_WASM
#endif

/* -- choice of a path -------------------------------------------------------------------------- */

#if defined(GD_X86)
/* Ask the processor itself, since __builtin_cpu_supports knows nothing in a library that clang
   links without the runtime of gcc. */
static int32_t gd_has_x86_path(int32_t path) {
    uint32_t a, b, c, d, low, high;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c >> 27 & 1)) return 0; /* OSXSAVE */
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return 0;
    /* The system must keep the registers, of 256 or of 512 bits. */
    if (path == GD_AVX2) return (low & 0x06) == 0x06 && (b >> 5 & 1);
    const uint32_t wanted = 1u << 16 | 1u << 17 | 1u << 30 | 1u << 31; /* F, DQ, BW, VL */
    return (low & 0xe6) == 0xe6 && (b & wanted) == wanted && (c >> 11 & 1);
}
#endif

GD_EXPORT int32_t gd_version(void) { return GD_VERSION; }

GD_EXPORT int32_t gd_has_path(int32_t path) {
    if (path == GD_PORTABLE) return 1;
#if defined(GD_EMULATED_VNNI)
    if (path == GD_VNNI) return 1;
#endif
#if defined(GD_X86)
    if (path == GD_AVX2 || path == GD_VNNI) return gd_has_x86_path(path);
#endif
#if defined(GD_ARM)
#if defined(__linux__)
    if (path == GD_NEON) return (getauxval(AT_HWCAP) >> 20) & 1; /* HWCAP_ASIMDDP */
#elif defined(__APPLE__)
    if (path == GD_NEON) return 1; /* every Apple processor of a Mac has it */
#endif
#endif
#if defined(GD_WASM_SIMD)
    if (path == GD_WASM) return 1;
#endif
    return 0;
}

#if defined(GD_X86)
#define GD_CALL_X86(name, ...)                             \
    case GD_AVX2: return gd_##name##_avx2(__VA_ARGS__);    \
    case GD_VNNI: return gd_##name##_vnni(__VA_ARGS__);
#else
#define GD_CALL_X86(name, ...)
#endif
#if defined(GD_ARM)
#define GD_CALL_ARM(name, ...) case GD_NEON: return gd_##name##_neon(__VA_ARGS__);
#else
#define GD_CALL_ARM(name, ...)
#endif
#if defined(GD_WASM_SIMD)
#define GD_CALL_WASM(name, ...) case GD_WASM: return gd_##name##_wasm(__VA_ARGS__);
#else
#define GD_CALL_WASM(name, ...)
#endif
#define GD_CALL(path, name, ...)                          \
    switch (path) {                                       \
        GD_CALL_X86(name, __VA_ARGS__)                    \
        GD_CALL_ARM(name, __VA_ARGS__)                    \
        GD_CALL_WASM(name, __VA_ARGS__)                   \
        default: return gd_##name##_portable(__VA_ARGS__); \
    }

GD_EXPORT int64_t gd_packed_bytes(int32_t path, int32_t kind, int32_t n_in, int32_t n_out) {
    GD_CALL(path, packed_bytes, kind, n_in, n_out)
}

/* Pack weights of shape (n_out, n_in), padded as in `gd_product`: float32 for GD_FLOAT, else int8,
   for GD_BYTE from -63 to 63. `packed` has `gd_packed_bytes`, and `starts` n_out numbers. */
GD_EXPORT void gd_pack(int32_t path, int32_t kind, const void *weights, int32_t n_in, int32_t n_out,
                       void *packed, int32_t *starts) {
    GD_CALL(path, pack, kind, weights, n_in, n_out, packed, starts)
}

/* Compute `x @ weights.T * scales + bias` for rows of float32 (GD_FLOAT) or int16 (GD_SHORT).
   Returns 0, or 1 if memory is lacking. */
GD_EXPORT int32_t gd_dense(int32_t path, int32_t kind, const gd_product *product, const float *bias,
                           const void *rows, int64_t n_rows, float *out) {
    GD_CALL(path, dense, kind, product, bias, rows, n_rows, out)
}

/* Read windows. Window w has lengths[w] words, the longest window first; `rows` holds the rows of
   the table of all words, one window after the other. `out` gets a row per word. Returns 0, or 1 if
   memory is lacking. */
GD_EXPORT int32_t gd_read(const gd_network *network, const float *table, const int32_t *rows,
                          const int32_t *lengths, int32_t n_windows, float *out) {
    GD_CALL(network->path, read, network, table, rows, lengths, n_windows, out)
}

/* Compute the products of single pairs: out[i] is that of words[word_of[i]] and
   labels[label_of[i]]. */
GD_EXPORT void gd_compare_pairs(int32_t path, const float *words, const float *labels,
                                const int64_t *word_of, const int64_t *label_of, int64_t n_pairs,
                                int32_t width, float *out) {
    GD_CALL(path, compare_pairs, words, labels, word_of, label_of, n_pairs, width, out)
}

/* -- exponential and logarithm, in double precision; see `arithmetic.py` ------------------------ */

#define GD_LOG_2 0.6931471803691238 /* the logarithm of 2 in two parts */
#define GD_LOG_2_REST 1.9082149292705877e-10

/* Return e^x, for x between -700 and 700: 2^k times the series of e^y. */
static double gd_exponential(double x) {
    const double shifted = x * 1.4426950408889634 + 6755399441055744.0;
    const double k = shifted - 6755399441055744.0;
    const double y = (x - k * GD_LOG_2) - k * GD_LOG_2_REST;
    double power = 1.0;
    for (int n_terms = 13; n_terms; n_terms--) power = power * y / n_terms + 1.0;
    uint64_t bits;
    memcpy(&bits, &shifted, sizeof bits);
    bits = (bits + 1023) << 52; /* 2^k */
    double scale;
    memcpy(&scale, &bits, sizeof scale);
    return power * scale;
}

/* Return the logarithm of a number from 0 to 1 that is 0 or at least 2^-1022. */
static double gd_logarithm(double x) {
    if (!(x > 0.0)) return -(double)__builtin_inff();
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    int k = (int)(bits >> 52) - 1022;
    bits = (bits & 0xfffffffffffff) | (uint64_t)1022 << 52; /* from 0.5 to 1 */
    double part, series = 0.0;
    memcpy(&part, &bits, sizeof part);
    if (part < 0.7071067811865476) part = 2.0 * part, k--;
    const double y = (part - 1.0) / (part + 1.0), square = y * y;
    for (int n = 23; n > 0; n -= 2) series = series * square + 1.0 / n;
    return k * GD_LOG_2 + (k * GD_LOG_2_REST + 2.0 * y * series);
}

static double gd_clip(double x, double most) {
    x = x < most ? x : most;
    return x > -most ? x : -most;
}

/* Return 1 / (1 + e^-logit). */
static float gd_probability(float logit) {
    return (float)(1.0 / (1.0 + gd_exponential(gd_clip(-(double)logit, 80.0))));
}

GD_EXPORT void gd_logistic(const float *logits, int64_t n, float *out) {
    for (int64_t i = 0; i < n; i++) out[i] = gd_probability(logits[i]);
}

/* Compute the products of words with labels, both of `width` numbers, a multiple of 16:
   out[label * n_words + word]. */
GD_EXPORT void gd_compare(int32_t path, const float *words, int64_t n_words, const float *labels,
                          int64_t n_labels, int32_t width, float *out) {
    GD_CALL(path, compare, words, n_words, labels, n_labels, width, out)
}

/* -- search for spans --------------------------------------------------------------------------- */

#define GD_MOST_SPANS 256 /* candidates of a window; where there are more, numpy takes over */

/* The labels of a search and its rules. Shapes: inside (n_labels, width), edges (2 * n_labels,
   width) with start and end in turn, cuts, shifts and thresholds (n_labels). A softmax head has no
   edges and cuts, but `none` (width), and its bias is the first one.

   Label y is more specific than label x where narrow[y] * broad[x] + breadths[x] is above 0 and the
   same with x and y exchanged is not. These are whole numbers, so their sums are exact. Shapes:
   narrow and broad (n_labels, n_kinds), breadths (n_labels); NULL where labels are not compared.

   The logits of scores are mapped by straight lines through n_knots points; see `score_map.py`. */
typedef struct {
    const float *inside, *edges, *none, *cuts, *shifts, *thresholds;
    const int32_t *narrow, *broad;
    const int64_t *breadths;
    const double *logits, *reported, *slopes;
    float start_bias, end_bias, inside_bias;
    int32_t path, n_labels, width, n_kinds, n_knots, is_flat, is_multi;
} gd_search;

typedef struct {
    int32_t window, start, end, label;
    float score;
} gd_span;

/* A window with the products of its words with the labels that are asked, a row per label. `work`
   has 3 * n_words places. */
typedef struct {
    const float *words, *scores;
    const int32_t *labels; /* their numbers; NULL for all */
    float *work;
    int32_t number, n_words, n_labels;
} gd_window;

static int32_t gd_label_of(const gd_window *window, int32_t row) {
    return window->labels ? window->labels[row] : row;
}

static float gd_one_dot(int32_t path, const float *word, const float *label, int32_t width) {
    const int64_t zero = 0;
    float product;
    gd_compare_pairs(path, word, label, &zero, &zero, 1, width, &product);
    return product;
}

static float gd_least(float a, float b) { return a < b ? a : b; }

static int gd_share_word(const gd_span *a, const gd_span *b) {
    return a->start < b->end && b->start < a->end;
}

/* Return whether a candidate comes before another: the better score, then the order of GLiNER. */
static int gd_is_before(const gd_span *a, const gd_span *b) {
    if (a->score != b->score) return a->score > b->score;
    if (a->start != b->start) return a->start < b->start;
    if (a->label != b->label) return a->label < b->label;
    return a->end < b->end;
}

/* Return whether two candidates that share a word exclude one another; see `decoding._clash`. */
static int gd_clash(const gd_span *a, const gd_span *b, int is_flat, int is_multi) {
    if (a->start == b->start && a->end == b->end) return !is_multi;
    if (is_flat) return 1;
    const int a_holds = a->start <= b->start && b->end <= a->end;
    const int b_holds = b->start <= a->start && a->end <= b->end;
    return !(a_holds || b_holds);
}

static int gd_is_broader(const gd_search *search, int32_t label, int32_t than) {
    const int32_t *broad = search->broad + (int64_t)label * search->n_kinds;
    const int32_t *narrow = search->narrow + (int64_t)than * search->n_kinds;
    int64_t sum = search->breadths[label];
    for (int32_t k = 0; k < search->n_kinds; k++) sum += (int64_t)broad[k] * narrow[k];
    return sum > 0;
}

/* Fill beats[i * n + j]: whether candidate j shares a word with i and is more specific. */
static void gd_compare_spans(const gd_span *spans, int32_t n, const gd_search *search, uint8_t *beats) {
    memset(beats, 0, (size_t)n * n);
    for (int32_t i = 1; i < n; i++)
        for (int32_t j = 0; j < i; j++) {
            if (spans[i].label == spans[j].label || !gd_share_word(spans + i, spans + j)) continue;
            const int first = gd_is_broader(search, spans[i].label, spans[j].label);
            const int second = gd_is_broader(search, spans[j].label, spans[i].label);
            beats[i * n + j] = first && !second;
            beats[j * n + i] = second && !first;
        }
}

/* Remove the candidates that yield to more specific ones; see `specificity.keep_specific`. */
static int32_t gd_keep_specific(gd_span *spans, int32_t n, const gd_search *search, uint8_t *beats) {
    enum { OPEN, KEPT, DROPPED, YIELDS };
    uint8_t state[GD_MOST_SPANS];
    int32_t n_open = 0;
    gd_compare_spans(spans, n, search, beats);
    for (int32_t i = 0; i < n; i++) {
        state[i] = KEPT;
        for (int32_t j = 0; j < n && state[i] == KEPT; j++)
            if (i != j && gd_share_word(spans + i, spans + j)) state[i] = OPEN, n_open++;
    }
    while (n_open) {
        int32_t n_yielding = 0;
        uint8_t yields[GD_MOST_SPANS] = {0};
        for (int32_t i = 0; i < n; i++) {
            if (state[i] != OPEN) continue;
            for (int32_t j = 0; j < n && !yields[i]; j++)
                yields[i] = state[j] == OPEN && beats[i * n + j];
            n_yielding += yields[i];
        }
        /* If all yield, their labels form circles, and the scores have to decide. */
        const int all = n_yielding == n_open;
        for (int32_t i = 0; i < n; i++)
            if (state[i] == OPEN) state[i] = yields[i] && !all ? YIELDS : KEPT, yields[i] = state[i] == KEPT;
        /* Those at words where nothing has stayed come back. */
        n_open = 0;
        for (int32_t i = 0; i < n; i++) {
            if (state[i] != YIELDS) continue;
            state[i] = OPEN;
            for (int32_t j = 0; j < n && state[i] == OPEN; j++)
                if (yields[j] && gd_share_word(spans + i, spans + j)) state[i] = DROPPED;
            n_open += state[i] == OPEN;
        }
    }
    int32_t n_kept = 0;
    for (int32_t i = 0; i < n; i++)
        if (state[i] == KEPT) spans[n_kept++] = spans[i];
    return n_kept;
}

/* Keep the best candidate, drop those that clash with it, and so on; then sort by position. */
static int32_t gd_resolve(gd_span *spans, int32_t n, const gd_search *search) {
    int32_t n_kept = 0;
    for (int32_t i = 1; i < n; i++) {
        const gd_span moved = spans[i];
        int32_t j = i;
        for (; j && gd_is_before(&moved, spans + j - 1); j--) spans[j] = spans[j - 1];
        spans[j] = moved;
    }
    for (int32_t i = 0; i < n; i++) {
        int is_free = 1;
        for (int32_t j = 0; j < n_kept && is_free; j++)
            is_free = !gd_share_word(spans + i, spans + j) ||
                      !gd_clash(spans + i, spans + j, search->is_flat, search->is_multi);
        if (is_free) spans[n_kept++] = spans[i];
    }
    for (int32_t i = 1; i < n_kept; i++) {
        const gd_span moved = spans[i];
        int32_t j = i;
        for (; j && moved.start < spans[j - 1].start; j--) spans[j] = spans[j - 1];
        spans[j] = moved;
    }
    return n_kept;
}

/* Collect the candidates of one label; return the new number of all, or -1 if there are too many. */
static int32_t gd_collect_label(const gd_search *search, const gd_window *window, int32_t row,
                                gd_span *spans, int32_t n) {
    const int32_t label = gd_label_of(window, row), n_words = window->n_words;
    const float threshold = search->thresholds[label], shift = search->shifts[label];
    const float *edges = search->edges + (int64_t)2 * label * search->width;
    const float *scores = window->scores + (int64_t)row * n_words;
    float *inside = window->work, *start = inside + n_words, *end = start + n_words;
    int32_t first = 0;
    while (first < n_words) {
        /* A run of words that lie inside. */
        int32_t last = first;
        for (; last < n_words && scores[last] >= search->cuts[label]; last++) {
            inside[last] = gd_probability((scores[last] + search->inside_bias) - shift);
            if (!(inside[last] >= threshold)) break;
            const float *word = window->words + (int64_t)last * search->width;
            const float starts = gd_one_dot(search->path, word, edges, search->width);
            const float ends = gd_one_dot(search->path, word, edges + search->width, search->width);
            start[last] = gd_probability((starts + search->start_bias) - shift);
            end[last] = gd_probability((ends + search->end_bias) - shift);
        }
        for (int32_t s = first; s < last; s++) {
            if (!(start[s] > threshold)) continue;
            float least = inside[s];
            for (int32_t e = s; e < last; e++) {
                least = gd_least(least, inside[e]);
                if (!(end[e] > threshold)) continue;
                if (n == GD_MOST_SPANS) return -1;
                const float score = gd_least(gd_least(start[s], end[e]), least);
                spans[n++] = (gd_span){window->number, s, e + 1, label, score};
            }
        }
        first = last + 1;
    }
    return n;
}

/* Find the entities of a window with a boundary head. `beats` has GD_MOST_SPANS squared places. */
static int32_t gd_find_spans(const gd_search *search, const gd_window *window, gd_span *spans,
                             uint8_t *beats) {
    int32_t n = 0;
    for (int32_t row = 0; row < window->n_labels && n >= 0; row++)
        n = gd_collect_label(search, window, row, spans, n);
    if (n > 1 && search->narrow && search->is_flat && !search->is_multi)
        n = gd_keep_specific(spans, n, search, beats);
    return n > 1 ? gd_resolve(spans, n, search) : n;
}

/* Find the entities of a window with a softmax head: neighboring words of the same likeliest label.
   Return their number, or -1 if there are too many. */
static int32_t gd_find_runs(const gd_search *search, const gd_window *window, gd_span *spans) {
    const int32_t n_words = window->n_words;
    int32_t n = 0, before = -1; /* the label of the word before; -1 for none */
    for (int32_t w = 0; w < n_words && window->n_labels; w++) {
        int32_t best = 0;
        for (int32_t row = 1; row < window->n_labels; row++)
            if (window->scores[(int64_t)row * n_words + w] > window->scores[(int64_t)best * n_words + w])
                best = row;
        const int32_t label = gd_label_of(window, best);
        const float *word = window->words + (int64_t)w * search->width;
        const float none = gd_one_dot(search->path, word, search->none, search->width);
        const float margin = window->scores[(int64_t)best * n_words + w] - none - search->start_bias;
        const float prob = gd_probability(margin - search->shifts[label]);
        const int is_found = prob > search->thresholds[label];
        if (is_found && label == before) {
            spans[n - 1].end = w + 1;
            spans[n - 1].score = gd_least(spans[n - 1].score, prob);
        } else if (is_found) {
            if (n == GD_MOST_SPANS) return -1;
            spans[n++] = (gd_span){window->number, w, w + 1, label, prob};
        }
        before = is_found ? label : -1;
    }
    return n;
}

/* Return the score that is reported in place of a score. */
static float gd_report(const gd_search *search, float score) {
    if (search->n_knots == 0 || score == 0.5f) return score;
    const double logit = gd_logarithm(score) - gd_logarithm(1.0 - score);
    int32_t knot = 0;
    while (knot < search->n_knots - 2 && search->logits[knot + 1] <= logit) knot++;
    const double mapped = search->reported[knot] + (logit - search->logits[knot]) * search->slopes[knot];
    return (float)(1.0 / (1.0 + gd_exponential(-gd_clip(mapped, 700.0))));
}

/* Compute the products of a window's words with the labels that are asked. */
static void gd_compare_window(const gd_search *search, const gd_window *window, float *scores) {
    if (!window->labels) {
        gd_compare(search->path, window->words, window->n_words, search->inside, search->n_labels,
                   search->width, scores);
        return;
    }
    for (int32_t row = 0; row < window->n_labels; row++)
        gd_compare(search->path, window->words, window->n_words,
                   search->inside + (int64_t)window->labels[row] * search->width, 1, search->width,
                   scores + (int64_t)row * window->n_words);
}

/* Find the entities of windows that are whole passages. `vectors` has a row per word. `labels` has
   the numbers of the labels that each window is asked, n_asked[w] for window w, one window after the
   other; both are NULL if each is asked all. At most `n_places` entities are written to `found`.
   Returns their number; -1 if a window has too many candidates or `found` is too small; -2 if memory
   is lacking. */
GD_EXPORT int64_t gd_find(const gd_search *search, const float *vectors, const int32_t *lengths,
                          int32_t n_windows, const int32_t *labels, const int32_t *n_asked,
                          gd_span *found, int64_t n_places) {
    int64_t n_numbers = 0;
    for (int32_t w = 0; w < n_windows; w++) {
        const int64_t n = (int64_t)lengths[w] * ((labels ? n_asked[w] : search->n_labels) + 3);
        n_numbers = n > n_numbers ? n : n_numbers;
    }
    float *numbers = malloc((size_t)n_numbers * sizeof(float) + 64);
    uint8_t *beats = malloc(search->narrow ? GD_MOST_SPANS * GD_MOST_SPANS : 1);
    int64_t n_found = numbers && beats ? 0 : -2;
    for (int32_t w = 0; w < n_windows && n_found >= 0; w++) {
        gd_span spans[GD_MOST_SPANS];
        const int32_t n_labels = labels ? n_asked[w] : search->n_labels;
        float *scores = numbers + (int64_t)3 * lengths[w];
        const gd_window window = {vectors, scores, labels, numbers, w, lengths[w], n_labels};
        gd_compare_window(search, &window, scores);
        const int32_t n = search->none ? gd_find_runs(search, &window, spans)
                                       : gd_find_spans(search, &window, spans, beats);
        for (int32_t i = 0; i < n; i++) spans[i].score = gd_report(search, spans[i].score);
        if (n < 0 || n_found + n > n_places) n_found = -1;
        else memcpy(found + n_found, spans, (size_t)n * sizeof(gd_span)), n_found += n;
        vectors += (int64_t)lengths[w] * search->width;
        if (labels) labels += n_labels;
    }
    free(numbers);
    free(beats);
    return n_found;
}
