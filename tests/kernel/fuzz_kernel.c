/* Random networks of random sizes on every path: all must compute the same bytes.

   The buffers have exactly the sizes that the kernel may use, so AddressSanitizer sees each read or
   write outside of them. Arguments: the number of networks, and the seed. */

#include "../../src/gliner_distill/kernel/kernel.c"

#include <stdio.h>

static uint64_t state, hash;

static uint32_t draw(uint32_t end) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)(state >> 16) % end;
}

static float draw_float(void) { return ((float)draw(2001) - 1000.0f) / 500.0f; }

static void *allocate(int64_t n_bytes) { return malloc(n_bytes ? (size_t)n_bytes : 1); }

static float *draw_floats(int64_t n, float scale) {
    float *values = allocate(4 * n);
    for (int64_t i = 0; i < n; i++) values[i] = draw_float() * scale;
    return values;
}

static void mix(const void *values, int64_t n_bytes) {
    const uint8_t *bytes = values;
    for (int64_t i = 0; i < n_bytes; i++) hash = (hash ^ bytes[i]) * 1099511628211u;
}

static gd_product draw_product(int32_t path, int32_t kind, int32_t n_in, int32_t n_out) {
    const int64_t n = (int64_t)n_in * n_out;
    void *weights = kind == GD_FLOAT ? (void *)draw_floats(n, 1) : allocate(n);
    for (int64_t i = 0; i < n && kind != GD_FLOAT; i++) ((int8_t *)weights)[i] = (int8_t)draw(127) - 63;
    void *packed = allocate(gd_packed_bytes(path, kind, n_in, n_out));
    int32_t *starts = allocate(4 * (int64_t)n_out);
    gd_pack(path, kind, weights, n_in, n_out, packed, starts);
    free(weights);
    return (gd_product){packed, draw_floats(n_out, 0.003f), starts, n_in, n_out};
}

static void free_product(gd_product product) {
    free((void *)product.weights);
    free((void *)product.scales);
    free((void *)product.starts);
}

/* Draw the numbers of the labels that each window is asked; return NULL if each is asked all. */
static int32_t *draw_asked(int32_t n_labels, int32_t *n_asked, int32_t n_windows) {
    int64_t n = 0;
    for (int32_t w = 0; w < n_windows; w++) n += n_asked[w] = (int32_t)draw((uint32_t)n_labels + 1);
    if (draw(2)) return NULL;
    int32_t *labels = allocate(4 * n);
    for (int32_t w = 0, i = 0; w < n_windows; w++)
        for (int32_t k = 0; k < n_asked[w]; k++, i++) labels[i] = k + n_labels - n_asked[w];
    return labels;
}

static void search_spans(int32_t path, const float *vectors, int32_t width, const int32_t *lengths,
                         int32_t n_windows, int64_t n_words) {
    const int32_t n = 1 + (int32_t)draw(7), n_kinds = 1 + (int32_t)draw(5);
    float *inside = draw_floats((int64_t)n * width, 8.0f / width);
    float *edges = draw_floats((int64_t)2 * n * width, 8.0f / width), *none = draw_floats(width, 0.1f);
    float *cuts = draw_floats(n, 1), *shifts = draw_floats(n, 0.1f), *thresholds = allocate(4 * n);
    int32_t *narrow = allocate(4 * (int64_t)n * n_kinds), *broad = allocate(4 * (int64_t)n * n_kinds);
    int32_t *n_asked = allocate(4 * (int64_t)n_windows);
    int64_t *breadths = allocate(8 * (int64_t)n);
    const int32_t n_knots = (int32_t)draw(2) * (2 + (int32_t)draw(3));
    double *logits = allocate(8 * n_knots), *reported = allocate(8 * n_knots);
    double *slopes = allocate(8 * (n_knots ? n_knots - 1 : 0));
    for (int32_t i = 0; i < n_knots; i++) logits[i] = i - 1.0, reported[i] = 2.0 * i - 2.0;
    for (int32_t i = 0; i + 1 < n_knots; i++) slopes[i] = 2.0;
    for (int32_t i = 0; i < n; i++) thresholds[i] = 0.2f, cuts[i] = -3.0f, breadths[i] = draw(9);
    for (int32_t i = 0; i < n * n_kinds; i++) narrow[i] = (int32_t)draw(9) - 4, broad[i] = (int32_t)draw(9) - 4;
    const int is_compared = (int)draw(2), is_flat = (int)draw(2), is_multi = (int)draw(2);
    const int is_softmax = draw(3) == 0;
    int32_t *asked = draw_asked(n, n_asked, n_windows);
    const gd_search search = {inside, is_softmax ? NULL : edges, is_softmax ? none : NULL, cuts,
                              shifts, thresholds, is_compared ? narrow : NULL, broad, breadths,
                              logits, reported, slopes,
                              0, 0, 0, path, n, width, n_kinds, n_knots, is_flat, is_multi};
    const int64_t n_places = draw(2) ? n_words + GD_MOST_SPANS : draw(5);
    gd_span *found = allocate(n_places * (int64_t)sizeof(gd_span));
    const int64_t n_found = gd_find(&search, vectors, lengths, n_windows, asked,
                                    asked ? n_asked : NULL, found, n_places);
    mix(&n_found, 8);
    if (n_found > 0) mix(found, n_found * (int64_t)sizeof(gd_span));
    free(inside), free(edges), free(none), free(cuts), free(shifts), free(thresholds), free(narrow);
    free(logits), free(reported), free(slopes), free(broad), free(breadths), free(n_asked), free(asked), free(found);
}

static int32_t *draw_lengths(int32_t n) {
    int32_t *lengths = allocate(4 * (int64_t)n);
    for (int32_t i = 0; i < n; i++) {
        const int32_t length = 1 + (int32_t)draw(30);
        int32_t j = i;
        for (; j && length > lengths[j - 1]; j--) lengths[j] = lengths[j - 1];
        lengths[j] = length;
    }
    return lengths;
}

static int read_windows(int32_t path, int32_t kind) {
    const int32_t n_units = 16 * (1 + (int32_t)draw(3)), n_layers = 1 + (int32_t)draw(3);
    const int32_t n_directions = 1 + (int32_t)draw(2), n_distinct = 1 + (int32_t)draw(9);
    const int32_t n_tower = kind == GD_FLOAT && draw(4) == 0 ? 0 : 64 * (1 + (int32_t)draw(2));
    const int32_t n_states = n_directions * n_units, n_out = n_tower ? n_tower : n_states;
    gd_direction directions[6];
    for (int32_t i = 0; i < n_layers * n_directions; i++) {
        directions[i].state = draw_product(path, kind, n_units, 4 * n_units);
        directions[i].input = i < n_directions ? (gd_product){0}
                                               : draw_product(path, kind, n_states, 4 * n_units);
        directions[i].bias = draw_floats(4 * n_units, 1);
    }
    const gd_network network = {path, kind, n_layers, n_directions, n_units,
                                4 * n_states + n_tower, directions,
                                n_tower ? draw_product(path, kind, n_states, n_tower)
                                        : (gd_product){0}};
    float *table = draw_floats((int64_t)n_distinct * network.n_columns, draw(5) ? 1 : 100);
    const int32_t n_windows = 1 + (int32_t)draw(draw(5) ? 14 : 96);
    int32_t *lengths = draw_lengths(n_windows);
    int64_t n_words = 0;
    for (int32_t w = 0; w < n_windows; w++) n_words += lengths[w];
    int32_t *rows = allocate(4 * n_words);
    for (int64_t i = 0; i < n_words; i++) rows[i] = (int32_t)draw((uint32_t)n_distinct);
    float *out = allocate(4 * n_words * n_out);
    const int failed = gd_read(&network, table, rows, lengths, n_windows, out);
    mix(out, 4 * n_words * n_out);
    if (n_tower) search_spans(path, out, n_out, lengths, n_windows, n_words);
    for (int32_t i = 0; i < n_layers * n_directions; i++) {
        free_product(directions[i].state);
        if (i >= n_directions) free_product(directions[i].input);
        free((void *)directions[i].bias);
    }
    if (n_tower) free_product(network.tower);
    free(table), free(lengths), free(rows), free(out);
    return failed;
}

static int multiply_rows(int32_t path, int32_t kind) {
    const int32_t n_in = 16 * (1 + (int32_t)draw(4)), n_out = 64 * (1 + (int32_t)draw(2));
    const int64_t n_rows = draw(200), n = n_rows * n_in;
    const gd_product product = draw_product(path, kind, n_in, n_out);
    void *rows = kind == GD_FLOAT ? (void *)draw_floats(n, 1) : allocate(2 * n);
    for (int64_t i = 0; i < n && kind != GD_FLOAT; i++) ((int16_t *)rows)[i] = (int16_t)draw(65536);
    float *bias = draw_floats(n_out, 1), *out = allocate(4 * n_rows * n_out);
    const int failed = gd_dense(path, kind, &product, bias, rows, n_rows, out);
    mix(out, 4 * n_rows * n_out);
    free_product(product);
    free(rows), free(bias), free(out);
    return failed;
}

int main(int n_arguments, char **arguments) {
    const int n_networks = n_arguments > 1 ? atoi(arguments[1]) : 40;
    const uint64_t seed = n_arguments > 2 ? strtoull(arguments[2], NULL, 10) : 1;
    uint64_t expected = 0;
    for (int32_t path = 0; path < GD_N_PATHS; path++) {
        if (!gd_has_path(path)) continue;
        state = 88172645463325252u + seed, hash = 1469598103934665603u;
        for (int i = 0; i < n_networks; i++) {
            if (read_windows(path, i & 1 ? GD_BYTE : GD_FLOAT)) return 2;
            if (multiply_rows(path, i & 1 ? GD_SHORT : GD_FLOAT)) return 2;
        }
        printf("path %d: %016llx\n", path, (unsigned long long)hash);
        if (path == GD_PORTABLE) expected = hash;
        if (hash != expected) return 1;
    }
    return 0;
}
