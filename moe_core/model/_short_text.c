/* One layer's routing of a short text in one call: logits, scores, gates, and the hidden values weighted by the gates.
 *
 * The same arithmetic as `Router` and `decide_at` in router.py, one rounding after another (no fused multiply-add), except
 * that the exponential is the C library's. PyTorch needs eleven small operations for it, about 10 us each beside products
 * that sweep the caches; this takes three of them. Optional: short_text.py does without where it was not built.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <math.h>
#include <string.h>

#if defined(__GNUC__) && !defined(__clang__) && defined(__x86_64__) && defined(__GLIBC__)
#define BY_MACHINE __attribute__((target_clones("avx2", "default")))
#else
#define BY_MACHINE
#endif

/* hidden (tokens, width), weighted in place; router (n_read, experts) reads its columns from `first`; expert e owns `block`
 * columns from e * block; threshold, fade (experts); logits, scores, gates (tokens, experts) are written. */
BY_MACHINE static void
weigh(float *hidden, Py_ssize_t n_tokens, Py_ssize_t width, const float *router, Py_ssize_t n_read, Py_ssize_t n_experts,
      Py_ssize_t first, Py_ssize_t block, const float *threshold, const float *fade, float *logits, float *scores,
      float *gates)
{
    for (Py_ssize_t token = 0; token < n_tokens; token++) {
        float *row = hidden + token * width;
        float *logit = logits + token * n_experts, *score = scores + token * n_experts, *gate = gates + token * n_experts;
        for (Py_ssize_t e = 0; e < n_experts; e++) logit[e] = 0.0f;
        for (Py_ssize_t r = 0; r < n_read; r++) {
            const float value = row[first + r], *map = router + r * n_experts;
            for (Py_ssize_t e = 0; e < n_experts; e++) logit[e] += value * map[e];
        }
        float largest = logit[0];
        for (Py_ssize_t e = 1; e < n_experts; e++)
            if (logit[e] > largest || logit[e] != logit[e]) largest = logit[e]; /* not-a-number stays, as in amax */
        for (Py_ssize_t e = 0; e < n_experts; e++) {
            score[e] = expf(logit[e] - largest);
            const float passed = (score[e] - threshold[e]) / fade[e];
            gate[e] = passed < 0.0f ? 0.0f : passed > 1.0f ? 1.0f : passed;
        }
        for (Py_ssize_t e = 0; e < n_experts; e++) {
            float *part = row + e * block;
            const float weight = gate[e];
            if (weight == 0.0f) memset(part, 0, (size_t)block * sizeof(float));
            else if (weight != 1.0f)
                for (Py_ssize_t j = 0; j < block; j++) part[j] *= weight;
        }
    }
}

static PyObject *
call_weigh(PyObject *module, PyObject *const *given, Py_ssize_t n_given)
{
    Py_ssize_t v[13]; /* addresses and sizes, in the order of `weigh` */
    if (n_given != 13) {
        PyErr_SetString(PyExc_TypeError, "weigh takes 13 whole numbers");
        return NULL;
    }
    for (int i = 0; i < 13; i++) {
        v[i] = PyLong_AsSsize_t(given[i]);
        if (v[i] == -1 && PyErr_Occurred()) return NULL;
    }
    weigh((float *)v[0], v[1], v[2], (const float *)v[3], v[4], v[5], v[6], v[7], (const float *)v[8],
          (const float *)v[9], (float *)v[10], (float *)v[11], (float *)v[12]);
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    {"weigh", (PyCFunction)(void (*)(void))call_weigh, METH_FASTCALL, "See the comment at the top of the source."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_short_text", NULL, -1, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC
PyInit__short_text(void)
{
    return PyModule_Create(&module);
}
