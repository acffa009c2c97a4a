/* The peak of 8-bit and single-precision products of this processor, on one core. kernel_share.py
   compiles it. Twelve accumulators in registers hide the latency of the instructions; nothing is
   read from memory. Each function runs `n_rounds` rounds and returns a number that depends on all of
   them, so that nothing is left out. */

#include <immintrin.h>
#include <stdint.h>

#define N 12
#define ROUNDS for (int64_t i = 0; i < n_rounds; i++)
#define EACH _Pragma("GCC unroll 12") for (int a = 0; a < N; a++)
/* The compiler must not see that the factors stay the same. */
#define HIDE(x) __asm__ volatile("" : "+v"(x))

__attribute__((target("avx512f,avx512vnni"))) int32_t peak_vnni(int64_t n_rounds) {
    __m512i sums[N], x = _mm512_set1_epi8(3), y = _mm512_set1_epi8(1), all = _mm512_setzero_si512();
    EACH sums[a] = _mm512_setzero_si512();
    ROUNDS EACH {
        HIDE(x);
        sums[a] = _mm512_dpbusd_epi32(sums[a], x, y);
    }
    EACH all = _mm512_add_epi32(all, sums[a]);
    return _mm512_reduce_add_epi32(all);
}

__attribute__((target("avx512f"))) float peak_avx512_float(int64_t n_rounds) {
    __m512 sums[N], x = _mm512_set1_ps(1e-3f), y = _mm512_set1_ps(1e-3f), all = _mm512_setzero_ps();
    EACH sums[a] = _mm512_setzero_ps();
    ROUNDS EACH {
        HIDE(x);
        sums[a] = _mm512_fmadd_ps(x, y, sums[a]);
    }
    EACH all = _mm512_add_ps(all, sums[a]);
    return _mm512_reduce_add_ps(all);
}

__attribute__((target("avx2"))) int32_t peak_avx2(int64_t n_rounds) {
    __m256i sums[N], x = _mm256_set1_epi8(3), y = _mm256_set1_epi8(1), one = _mm256_set1_epi16(1);
    int32_t numbers[8], all = 0;
    EACH sums[a] = _mm256_setzero_si256();
    ROUNDS EACH {
        HIDE(x);
        __m256i pairs = _mm256_maddubs_epi16(x, y);
        sums[a] = _mm256_add_epi32(sums[a], _mm256_madd_epi16(pairs, one));
    }
    EACH {
        _mm256_storeu_si256((__m256i *)numbers, sums[a]);
        for (int k = 0; k < 8; k++) all += numbers[k];
    }
    return all;
}

__attribute__((target("avx2,fma"))) float peak_avx2_float(int64_t n_rounds) {
    __m256 sums[N], x = _mm256_set1_ps(1e-3f), y = _mm256_set1_ps(1e-3f);
    float numbers[8], all = 0;
    EACH sums[a] = _mm256_setzero_ps();
    ROUNDS EACH {
        HIDE(x);
        sums[a] = _mm256_fmadd_ps(x, y, sums[a]);
    }
    EACH {
        _mm256_storeu_ps(numbers, sums[a]);
        for (int k = 0; k < 8; k++) all += numbers[k];
    }
    return all;
}
