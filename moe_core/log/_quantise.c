/* Decisions of a recorder -> the rows of 32 bytes that encoding.py describes, in one pass.
 *
 * The same rows as `quantise` in encoding.py for decisions that are in order and can be stored as they are; for any other
 * it returns the place of the first that is not, and encoding.py sorts, or says what is wrong. Optional, and without the
 * interpreter's lock.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <math.h>
#include <stdint.h>

#if defined(__GNUC__) && !defined(__clang__) && defined(__x86_64__) && defined(__GLIBC__)
#define BY_MACHINE __attribute__((target_clones("sse4.1", "default")))
#else
#define BY_MACHINE
#endif

#pragma pack(push, 1)
typedef struct {
    uint32_t request_no;
    int32_t position;
    int16_t layer, expert_id, rank;
    uint8_t selected, flags;
    int32_t logit, prob, gate_weight, margin;
} Row;
#pragma pack(pop)

typedef struct {
    const uint32_t *request, *position;
    const uint16_t *layer, *expert, *rank;
    const uint8_t *selected;
    const float *logit, *prob, *gate, *margin;
    const uint8_t *flags;
} Batch;

static const int32_t UNKNOWN = INT32_MIN;
static const double LARGEST = 2147483647.0;

static inline int32_t
steps(double value, double scale)
{
    if (value != value) return UNKNOWN;
    value = rint(value * scale);
    return (int32_t)(value < -LARGEST ? -LARGEST : value > LARGEST ? LARGEST : value);
}

/* Returns n, or the place of the first decision that is not in order, is there twice or cannot be stored. */
BY_MACHINE static int64_t
quantise(int64_t n, const Batch *b, uint32_t first_request_no, double logit_scale, double prob_scale, double tolerance,
         double most_gate, Row *row)
{
    uint64_t seen = 0; /* experts of the token and layer that is being read */
    for (int64_t i = 0; i < n; i++, row++) {
        const double prob = b->prob[i], gate = b->gate[i];
        if (b->position[i] > INT32_MAX || b->layer[i] > INT16_MAX || b->rank[i] > INT16_MAX || b->expert[i] > 63) return i;
        if (prob < -tolerance || prob > 1 + tolerance || gate < -most_gate || gate > most_gate) return i;
        const uint64_t token = (uint64_t)b->request[i] << 32 | b->position[i], expert = (uint64_t)1 << b->expert[i];
        if (i) {
            const uint64_t before = (uint64_t)b->request[i - 1] << 32 | b->position[i - 1];
            const int same = token == before && b->layer[i] == b->layer[i - 1];
            if (token < before || (token == before && b->layer[i] < b->layer[i - 1])) return i;
            if (same && (b->rank[i] < b->rank[i - 1] || (seen & expert))) return i;
            if (!same) seen = 0;
        }
        seen |= expert;
        row->request_no = b->request[i] + first_request_no;
        row->position = (int32_t)b->position[i];
        row->layer = (int16_t)b->layer[i];
        row->expert_id = (int16_t)b->expert[i];
        row->rank = (int16_t)b->rank[i];
        row->selected = b->selected[i];
        row->flags = b->flags[i];
        row->logit = steps(b->logit[i], logit_scale);
        row->margin = steps(b->margin[i], logit_scale);
        row->prob = steps(prob < 0 ? 0 : prob > 1 ? 1 : prob, prob_scale);
        row->gate_weight = steps(gate, prob_scale);
    }
    return n;
}

static PyObject *
call_quantise(PyObject *module, PyObject *const *given, Py_ssize_t n_given)
{
    enum { COLUMNS = 11, NUMBERS = 3 + COLUMNS, ALL = NUMBERS + 4 };
    int64_t v[NUMBERS]; /* n, first_request_no, rows, and the columns in the order of `Batch` */
    double scale[4];    /* of logit and margin, of prob and gate weight; tolerance; largest gate weight */
    if (n_given != ALL) {
        PyErr_SetString(PyExc_TypeError, "quantise takes 18 numbers");
        return NULL;
    }
    for (int i = 0; i < ALL; i++) {
        if (i < NUMBERS) v[i] = PyLong_AsLongLong(given[i]);
        else scale[i - NUMBERS] = PyFloat_AsDouble(given[i]);
        if (PyErr_Occurred()) return NULL;
    }
    const Batch batch = {
        (const uint32_t *)v[3], (const uint32_t *)v[4], (const uint16_t *)v[5],  (const uint16_t *)v[6],
        (const uint16_t *)v[7], (const uint8_t *)v[8],  (const float *)v[9],     (const float *)v[10],
        (const float *)v[11],   (const float *)v[12],   (const uint8_t *)v[13],
    };
    int64_t end;
    Py_BEGIN_ALLOW_THREADS
    end = quantise(v[0], &batch, (uint32_t)v[1], scale[0], scale[1], scale[2], scale[3], (Row *)v[2]);
    Py_END_ALLOW_THREADS
    return PyLong_FromLongLong(end);
}

static PyMethodDef methods[] = {
    {"quantise", (PyCFunction)(void (*)(void))call_quantise, METH_FASTCALL, "See the comment at the top of the source."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_quantise", NULL, -1, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC
PyInit__quantise(void)
{
    return PyModule_Create(&module);
}
