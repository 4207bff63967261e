/* Decision records of texts answered together, in one pass over what the routers decided.
 *
 * The same records as `decisions_of` in recording.py, without arrays in between: those cost more than the work itself,
 * and hold up a model that computes beside. Optional: recording.py does without where it was not built. Runs without the
 * interpreter's lock.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <math.h>
#include <stdint.h>

#if !defined(__GNUC__) && !defined(__clang__)
#define __builtin_prefetch(address) ((void)0)
#endif

enum { LOGITS, SCORES, THRESHOLDS, TOKEN_STEP, EXPERT_STEP, GATES, FAILOVER, FLOOR, PER_LAYER };
enum { REQUEST, POSITION, LAYER, EXPERT, RANK, SELECTED, LOGIT, PROB, GATE, MARGIN, FLAGS, COLUMNS };
enum { FLAG_FLOOR = 1, FLAG_FAILOVER = 2, MOST_EXPERTS = 1024, AHEAD = 4 };

/* Writes the records of one token in one layer from place `at` on; returns the place behind, -1 if `capacity` is
 * not enough. */
static int64_t
write_token(const int64_t *layer, int64_t token, int64_t n_experts, int64_t *const column, int64_t at, int64_t capacity,
            uint32_t request, uint32_t position, uint16_t number)
{
    const float *logit = (const float *)layer[LOGITS] + token * n_experts;
    const float *score = (const float *)layer[SCORES] + token * n_experts;
    const float *gate = (const float *)layer[GATES] + token * n_experts;
    const float *threshold = (const float *)layer[THRESHOLDS] + token * layer[TOKEN_STEP];
    const uint8_t *failover = layer[FAILOVER] ? (const uint8_t *)layer[FAILOVER] + token * n_experts : NULL;
    const int at_floor = ((const uint8_t *)layer[FLOOR])[token] != 0;
    /* Eighteen streams of six layers are more than a processor follows by itself. Beyond the end nothing happens. */
    __builtin_prefetch(logit + AHEAD * n_experts);
    __builtin_prefetch(score + AHEAD * n_experts);
    __builtin_prefetch(gate + AHEAD * n_experts);
    float margin[MOST_EXPERTS], sum = 0.0f, largest = logit[0];
    uint16_t order[MOST_EXPERTS];
    int64_t ran = 0, loser = -1;

    for (int64_t e = 0; e < n_experts; e++) {
        margin[e] = score[e] - threshold[e * layer[EXPERT_STEP]];
        if (gate[e] > 0.0f) { /* sorted as they come: by margin, then by number */
            int64_t place = ran++;
            for (; place > 0 && margin[order[place - 1]] < margin[e]; place--) order[place] = order[place - 1];
            order[place] = (uint16_t)e;
        } else if (loser < 0 || margin[e] > margin[loser]) {
            loser = e;
        }
    }
    if (failover) { /* scores are then shares of the strongest that is left, cut off at 1 */
        for (int64_t e = 1; e < n_experts; e++) if (logit[e] > largest) largest = logit[e];
        for (int64_t e = 0; e < n_experts; e++) sum += expf(logit[e] - largest);
    } else {
        for (int64_t e = 0; e < n_experts; e++) sum += score[e];
    }
    const int64_t n = ran + (loser >= 0);
    if (at + n > capacity) return -1;
    if (loser >= 0) order[ran] = (uint16_t)loser;
    for (int64_t rank = 0; rank < n; rank++, at++) {
        const uint16_t e = order[rank];
        ((uint32_t *)column[REQUEST])[at] = request;
        ((uint32_t *)column[POSITION])[at] = position;
        ((uint16_t *)column[LAYER])[at] = number;
        ((uint16_t *)column[EXPERT])[at] = e;
        ((uint16_t *)column[RANK])[at] = (uint16_t)rank;
        ((uint8_t *)column[SELECTED])[at] = rank < ran;
        ((float *)column[LOGIT])[at] = logit[e];
        ((float *)column[PROB])[at] = (failover ? expf(logit[e] - largest) : score[e]) / sum;
        ((float *)column[GATE])[at] = gate[e];
        ((float *)column[MARGIN])[at] = margin[e];
        ((uint8_t *)column[FLAGS])[at] = (uint8_t)((at_floor && rank == 0 && ran > 0 ? FLAG_FLOOR : 0) |
                                                   (failover && failover[e] ? FLAG_FAILOVER : 0));
    }
    return at;
}

static int64_t
write_texts(int64_t n_texts, const int64_t *start, const int64_t *length, int64_t first_request, int64_t n_layers,
            int64_t n_experts, const int64_t *layers, int64_t *const column, int64_t at, int64_t capacity)
{
    for (int64_t text = 0; text < n_texts; text++)
        for (int64_t position = 0; position < length[text]; position++)
            for (int64_t layer = 0; layer < n_layers; layer++) {
                at = write_token(layers + layer * PER_LAYER, start[text] + position, n_experts, column, at, capacity,
                                 (uint32_t)(first_request + text), (uint32_t)position, (uint16_t)layer);
                if (at < 0) return at;
            }
    return at;
}

static PyObject *
call_write(PyObject *module, PyObject *const *given, Py_ssize_t n_given)
{
    int64_t v[10]; /* addresses and sizes, in the order of `write_texts` */
    if (n_given != 10) {
        PyErr_SetString(PyExc_TypeError, "write takes 10 whole numbers");
        return NULL;
    }
    for (int i = 0; i < 10; i++) {
        v[i] = PyLong_AsLongLong(given[i]);
        if (v[i] == -1 && PyErr_Occurred()) return NULL;
    }
    if (v[5] < 1 || v[5] > MOST_EXPERTS) {
        PyErr_SetString(PyExc_ValueError, "write takes 1 to 1,024 experts a layer");
        return NULL;
    }
    int64_t end;
    Py_BEGIN_ALLOW_THREADS
    end = write_texts(v[0], (const int64_t *)v[1], (const int64_t *)v[2], v[3], v[4], v[5], (const int64_t *)v[6],
                      (int64_t *)v[7], v[8], v[9]);
    Py_END_ALLOW_THREADS
    return PyLong_FromLongLong(end);
}

static PyMethodDef methods[] = {
    {"write", (PyCFunction)(void (*)(void))call_write, METH_FASTCALL, "See the comment at the top of the source."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_decisions", NULL, -1, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC
PyInit__decisions(void)
{
    return PyModule_Create(&module);
}
