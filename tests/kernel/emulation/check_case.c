/* Compare the kernel with what numpy has computed. The standard input is a case of `test_emulation.py`.

   The paths that the machine has are checked one after the other. The exit status is 0 if all give
   the bytes of numpy. */

#include "../../../src/gliner_distill/kernel/kernel.c"

#include <stdio.h>

static char *content;

static void *take(int64_t n_bytes) {
    char *values = malloc((size_t)n_bytes + 1); /* malloc aligns them */
    memcpy(values, content, (size_t)n_bytes);
    content += n_bytes;
    return values;
}

static gd_product take_product(int32_t path, int32_t kind, int32_t n_in, int32_t n_out) {
    const int64_t n = (int64_t)n_in * n_out;
    const void *weights = take(kind == GD_FLOAT ? 4 * n : n);
    const float *scales = take(4 * n_out);
    void *packed = malloc((size_t)gd_packed_bytes(path, kind, n_in, n_out));
    int32_t *starts = malloc(4 * (size_t)n_out);
    gd_pack(path, kind, weights, n_in, n_out, packed, starts);
    return (gd_product){packed, scales, starts, n_in, n_out};
}

static int is_equal(int32_t path) {
    const int32_t *sizes = take(48);
    const int32_t kind = sizes[0], n_layers = sizes[1], n_directions = sizes[2], n_units = sizes[3];
    const int32_t n_out = sizes[4], n_rows = sizes[5], n_windows = sizes[6], n_words = sizes[7];
    const int32_t n_labels = sizes[8], n_kinds = sizes[9], n_knots = sizes[10];
    const int32_t n_expected = sizes[11];
    const int32_t n_states = n_directions * n_units, n_columns = 4 * n_states + n_out;
    gd_direction directions[8] = {0};
    for (int32_t i = 0; i < n_layers * n_directions; i++) {
        if (i >= n_directions) directions[i].input = take_product(path, kind, n_states, 4 * n_units);
        directions[i].state = take_product(path, kind, n_units, 4 * n_units);
        directions[i].bias = take(16 * n_units);
    }
    const gd_network network = {path, kind, n_layers, n_directions, n_units, n_columns, directions,
                                take_product(path, kind, n_states, n_out)};
    const float *table = take((int64_t)4 * n_rows * n_columns);
    const int32_t *rows = take(4 * n_words), *lengths = take(4 * n_windows);
    gd_search search = {.path = path, .n_labels = n_labels, .width = n_out, .n_kinds = n_kinds,
                        .n_knots = n_knots, .is_flat = 1};
    search.inside = take((int64_t)4 * n_labels * n_out);
    search.edges = take((int64_t)8 * n_labels * n_out);
    search.cuts = take(4 * n_labels), search.shifts = take(4 * n_labels);
    search.thresholds = take(4 * n_labels);
    search.narrow = take(4 * n_labels * n_kinds), search.broad = take(4 * n_labels * n_kinds);
    search.breadths = take(8 * n_labels);
    const float *bias = take(12);
    search.logits = take(8 * n_knots), search.reported = take(8 * n_knots);
    search.slopes = take(8 * (n_knots - 1));
    search.start_bias = bias[0], search.end_bias = bias[1], search.inside_bias = bias[2];
    const int64_t n_bytes = (int64_t)4 * n_words * n_out;
    float *out = malloc((size_t)n_bytes);
    if (gd_read(&network, table, rows, lengths, n_windows, out)) return 0;
    if (memcmp(out, take(n_bytes), (size_t)n_bytes)) return 0;
    gd_span found[1024];
    const int64_t n_found = gd_find(&search, out, lengths, n_windows, NULL, NULL, found, 1024);
    const void *expected = take(n_expected * (int64_t)sizeof(gd_span));
    return n_found == n_expected && !memcmp(found, expected, (size_t)n_found * sizeof(gd_span));
}

int main(void) {
    static char buffer[1 << 23];
    if (fread(buffer, 1, sizeof buffer, stdin) == sizeof buffer) return 2; /* too large */
    int is_right = 1;
    for (int32_t path = 0; path < GD_N_PATHS; path++) {
        if (!gd_has_path(path)) continue;
        content = buffer;
        const int is_same = is_equal(path);
        printf("%d %s\n", path, is_same ? "equal" : "different");
        is_right &= is_same;
    }
    return !is_right;
}
