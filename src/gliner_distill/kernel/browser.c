/* The kernel as a WebAssembly module: `kernel.c` with its SIMD path, and the vectors of words, which
   numpy computes in Python. `build.py` compiles this file; `web/npm/kernel.js` calls it. */

#include "kernel.c"

/* The vectors of subword pieces in 8 bits, and those of the shapes of words. */
typedef struct {
    const int8_t *codes;  /* (pieces, width) */
    const float *scales;  /* by piece */
    const float *shapes;  /* (n_shapes, width) */
    int32_t width, n_shapes;
    float scale; /* what vectors of words are multiplied with before they are rounded */
    int32_t most; /* the largest rounded number */
} gd_pieces;

static float gd_piece(const gd_pieces *table, int32_t piece, int32_t column) {
    return (float)table->codes[(int64_t)piece * table->width + column] * table->scales[piece];
}

/* Return the mean of one column over pieces, added in their order. */
static float gd_mean_column(const gd_pieces *table, const int32_t *pieces, int32_t n, int32_t column) {
    float sum = gd_piece(table, pieces[0], column);
    for (int32_t i = 1; i < n; i++) sum += gd_piece(table, pieces[i], column);
    return sum / (float)n;
}

/* Compute the mean vector of each run of pieces; run r has lengths[r] pieces, at least one. */
GD_EXPORT void gd_mean_pieces(const gd_pieces *table, const int32_t *pieces, const int32_t *lengths,
                              int32_t n_runs, float *out) {
    for (int32_t r = 0; r < n_runs; pieces += lengths[r++])
        for (int32_t c = 0; c < table->width; c++)
            *out++ = gd_mean_column(table, pieces, lengths[r], c);
}

/* Copy the vectors of pieces, each `n_columns` wide, padded with zeros. */
GD_EXPORT void gd_look_up_pieces(const gd_pieces *table, const int32_t *pieces, int32_t n,
                                 int32_t n_columns, float *out) {
    for (int32_t i = 0; i < n; i++)
        for (int32_t c = 0; c < n_columns; c++)
            *out++ = c < table->width ? gd_piece(table, pieces[i], c) : 0.0f;
}

/* Compute the rounded vectors of words, each `n_columns` wide, padded with zeros. Word w has
   lengths[w] pieces, and `shapes` holds its properties, each 0 or 1. */
GD_EXPORT void gd_embed_words(const gd_pieces *table, const int32_t *pieces, const int32_t *lengths,
                              const uint8_t *shapes, int32_t n_words, int32_t n_columns,
                              int16_t *out) {
    const float most = (float)table->most;
    for (int32_t w = 0; w < n_words; pieces += lengths[w++], shapes += table->n_shapes)
        for (int32_t c = 0; c < n_columns; c++) {
            float sum = 0.0f;
            if (c < table->width) {
                sum = gd_mean_column(table, pieces, lengths[w], c);
                for (int32_t s = 0; s < table->n_shapes; s++)
                    sum += (float)shapes[s] * table->shapes[s * table->width + c];
            }
            const float rounded = __builtin_rintf(sum * table->scale);
            *out++ = (int16_t)(rounded > most ? most : rounded < -most ? -most : rounded);
        }
}
