/* The path for AVX-512 VNNI on a machine without it: the few instructions that it names are written
   out in C, after Intel's description of what they do. Compile with -mavx2. */

#include <immintrin.h>
#include <stdint.h>
#include <string.h>

#define GD_EMULATED_VNNI
#define GD_VNNI_TARGET

typedef int32_t emulated_ints __attribute__((vector_size(64), aligned(4), may_alias));
typedef float emulated_floats __attribute__((vector_size(64), aligned(4), may_alias));

static inline emulated_ints emulated_load(const void *p) { return *(const emulated_ints *)p; }

static inline emulated_ints emulated_set(int32_t value) {
    emulated_ints all;
    for (int i = 0; i < 16; i++) all[i] = value;
    return all;
}

/* Four products of an unsigned and a signed byte are added to each number. */
static inline emulated_ints emulated_dpbusd(emulated_ints sums, emulated_ints a, emulated_ints b) {
    for (int i = 0; i < 16; i++)
        for (int k = 0; k < 4; k++)
            sums[i] += ((const uint8_t *)&a)[4 * i + k] * ((const int8_t *)&b)[4 * i + k];
    return sums;
}

/* Two products of signed 16-bit numbers are added to each number. */
static inline emulated_ints emulated_dpwssd(emulated_ints sums, emulated_ints a, emulated_ints b) {
    int16_t left[32], right[32];
    memcpy(left, &a, 64);
    memcpy(right, &b, 64);
    for (int i = 0; i < 32; i++) sums[i / 2] += left[i] * right[i];
    return sums;
}

static inline emulated_ints emulated_widen(__m256i bytes) {
    int8_t from[32];
    int16_t to[32];
    emulated_ints result;
    memcpy(from, &bytes, 32);
    for (int i = 0; i < 32; i++) to[i] = from[i];
    memcpy(&result, to, 64);
    return result;
}

static inline emulated_floats emulated_min(emulated_floats a, emulated_floats b) {
    for (int i = 0; i < 16; i++) a[i] = a[i] < b[i] ? a[i] : b[i];
    return a;
}

static inline emulated_floats emulated_max(emulated_floats a, emulated_floats b) {
    for (int i = 0; i < 16; i++) a[i] = a[i] > b[i] ? a[i] : b[i];
    return a;
}

#define __m512i emulated_ints
#define __m512 emulated_floats
#define _mm512_loadu_si512 emulated_load
#define _mm512_storeu_si512(p, v) (*(emulated_ints *)(p) = (v))
#define _mm512_set1_epi32 emulated_set
#define _mm512_dpbusd_epi32 emulated_dpbusd
#define _mm512_dpwssd_epi32 emulated_dpwssd
#define _mm512_cvtepi8_epi16 emulated_widen
#define _mm512_min_ps emulated_min
#define _mm512_max_ps emulated_max

#include "fuzz_kernel.c"
