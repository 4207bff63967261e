/* The Merkle root of merkle.py over the tokens of a segment, with the processor's own SHA-256.
 *
 * The same hashes as hashlib's, without a Python object a token and without the interpreter's lock. Optional, and only
 * where the processor has SHA instructions (`available`): merkle.py does without. SHA-256: FIPS 180-4.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <string.h>

#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))
#include <cpuid.h>
#include <immintrin.h>

static const uint32_t ROUND[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01,
    0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc,
    0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147,
    0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116, 0x1e376c08,
    0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208,
    0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};
static const uint32_t BEGIN[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                  0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};

static int
available(void)
{
    unsigned a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_SSSE3) || !(c & bit_SSE4_1)) return 0;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b >> 29 & 1);
}

/* Takes `n` blocks of 64 bytes into `state` (a to h). */
__attribute__((target("sha,sse4.1,ssse3"))) static void
blocks(uint32_t state[8], const uint8_t *data, int64_t n)
{
    const __m128i big_endian = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
    __m128i badc = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)state), 0xB1);
    __m128i hgfe = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)(state + 4)), 0x1B);
    __m128i abef = _mm_alignr_epi8(badc, hgfe, 8), cdgh = _mm_blend_epi16(hgfe, badc, 0xF0);

    for (; n > 0; n--, data += 64) {
        const __m128i abef_before = abef, cdgh_before = cdgh;
        __m128i word[4]; /* the last 16 words of the schedule */
#pragma GCC unroll 16
        for (int i = 0; i < 16; i++) {
            const int at = i & 3;
            if (i < 4) {
                word[at] = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(data + 16 * i)), big_endian);
            } else {
                const __m128i older = word[(i + 2) & 3], newest = word[(i + 3) & 3];
                const __m128i begun = _mm_sha256msg1_epu32(word[at], word[(i + 1) & 3]);
                word[at] = _mm_sha256msg2_epu32(_mm_add_epi32(begun, _mm_alignr_epi8(newest, older, 4)), newest);
            }
            const __m128i keyed = _mm_add_epi32(word[at], _mm_loadu_si128((const __m128i *)(ROUND + 4 * i)));
            cdgh = _mm_sha256rnds2_epu32(cdgh, abef, keyed);
            abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(keyed, 0x0E));
        }
        abef = _mm_add_epi32(abef, abef_before);
        cdgh = _mm_add_epi32(cdgh, cdgh_before);
    }
    const __m128i feba = _mm_shuffle_epi32(abef, 0x1B), dchg = _mm_shuffle_epi32(cdgh, 0xB1);
    _mm_storeu_si128((__m128i *)state, _mm_blend_epi16(feba, dchg, 0xF0));
    _mm_storeu_si128((__m128i *)(state + 4), _mm_alignr_epi8(dchg, feba, 8));
}

/* SHA-256 of `prefix` followed by `size` bytes. */
static void
hash_behind(uint8_t prefix, const uint8_t *data, int64_t size, uint8_t *digest)
{
    uint32_t state[8];
    uint8_t end[128] = {0};
    int64_t left = size + 1, filled; /* of the message, prefix included */
    memcpy(state, BEGIN, sizeof state);
    end[0] = prefix;
    if (left >= 64) {
        memcpy(end + 1, data, 63);
        blocks(state, end, 1);
        data += 63;
        left -= 64;
        blocks(state, data, left / 64);
        data += left / 64 * 64;
        filled = left % 64;
        memset(end, 0, sizeof end);
        memcpy(end, data, (size_t)filled);
    } else {
        filled = left;
        memcpy(end + 1, data, (size_t)size);
    }
    end[filled] = 0x80;
    const int n = filled < 56 ? 1 : 2;
    const uint64_t bits = 8 * (uint64_t)(size + 1);
    for (int i = 0; i < 8; i++) end[64 * n - 1 - i] = (uint8_t)(bits >> 8 * i);
    blocks(state, end, n);
    for (int i = 0; i < 32; i++) digest[i] = (uint8_t)(state[i / 4] >> (24 - 8 * (i % 4)));
}

#else
static int
available(void)
{
    return 0;
}

static void
hash_behind(uint8_t prefix, const uint8_t *data, int64_t size, uint8_t *digest)
{
    (void)prefix, (void)data, (void)size, (void)digest;
}
#endif

static PyObject *
call_available(PyObject *module, PyObject *nothing)
{
    return PyBool_FromLong(available());
}

/* leaves(rows, ends, n, digests): leaf i is the bytes from ends[i] to ends[i + 1] behind `rows`. */
static PyObject *
call_leaves(PyObject *module, PyObject *arguments)
{
    long long rows, ends, n, digests;
    if (!PyArg_ParseTuple(arguments, "LLLL", &rows, &ends, &n, &digests)) return NULL;
    if (!available()) return PyErr_Format(PyExc_RuntimeError, "this processor has no SHA instructions");
    Py_BEGIN_ALLOW_THREADS
    const int64_t *end = (const int64_t *)ends;
    for (long long i = 0; i < n; i++)
        hash_behind(0, (const uint8_t *)rows + end[i], end[i + 1] - end[i], (uint8_t *)digests + 32 * i);
    Py_END_ALLOW_THREADS
    Py_RETURN_NONE;
}

/* root(digests, n): joins pairs, level by level, until the first place holds the root. */
static PyObject *
call_root(PyObject *module, PyObject *arguments)
{
    long long digests, n;
    if (!PyArg_ParseTuple(arguments, "LL", &digests, &n)) return NULL;
    if (!available()) return PyErr_Format(PyExc_RuntimeError, "this processor has no SHA instructions");
    Py_BEGIN_ALLOW_THREADS
    uint8_t *node = (uint8_t *)digests;
    for (; n > 1; n = (n + 1) / 2) {
        for (long long i = 0; i < n / 2; i++) hash_behind(1, node + 64 * i, 64, node + 32 * i);
        if (n % 2) memmove(node + n / 2 * 32, node + (n - 1) * 32, 32);
    }
    Py_END_ALLOW_THREADS
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    {"available", call_available, METH_NOARGS, "Whether this processor can."},
    {"leaves", call_leaves, METH_VARARGS, "See the comment above it in the source."},
    {"root", call_root, METH_VARARGS, "See the comment above it in the source."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_leaves", NULL, -1, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC
PyInit__leaves(void)
{
    return PyModule_Create(&module);
}
