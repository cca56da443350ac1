"""C that lets Python call the kernels of a library: a function each, with arrays as numba's.

A kernel is a function by numba's own convention for the processor:

    int32 kernel(result *, exception **, arguments…)

where an array becomes its owner twice (unused here), items, bytes of an item, data, shape, strides.
"""

import importlib
from dataclasses import dataclass
from typing import Any, Final

HEADER: Final = r"""
#define NPY_NO_DEPRECATED_API NPY_2_0_API_VERSION
#include <Python.h>
#include <numpy/arrayobject.h>
#include <stdint.h>

/* Python's and numpy's headers may be another machine's, if its numbers are of these sizes. */
_Static_assert(SIZEOF_LONG == sizeof(long) && SIZEOF_VOID_P == sizeof(void *)
    && SIZEOF_SIZE_T == sizeof(size_t) && SIZEOF_WCHAR_T == sizeof(wchar_t)
    && NPY_SIZEOF_LONG == sizeof(long) && NPY_SIZEOF_LONGDOUBLE == sizeof(long double),
    "the headers are of a machine with other numbers");

/* Take an array of this kind, item size and dimensions, as the kernel was compiled for. */
static PyArrayObject *taken(PyObject *given, char kind, int size, int ndim, int writes)
{
    if (PyArray_Check(given)) {
        PyArrayObject *one = (PyArrayObject *)given;
        if (PyArray_DESCR(one)->kind == kind && PyArray_ITEMSIZE(one) == size
            && PyArray_NDIM(one) == ndim && PyArray_IS_C_CONTIGUOUS(one) && PyArray_ISALIGNED(one)
            && PyArray_ISNOTSWAPPED(one) && (!writes || PyArray_ISWRITEABLE(one)))
            return one;
    }
    PyErr_Format(PyExc_TypeError,
        "kernel: argument must be a C-contiguous array of %d dimensions, items '%c' of %d bytes",
        ndim, kind, size);
    return NULL;
}

/* Take a whole number; what is none is cut off, as numba does. */
static int whole(PyObject *given, int64_t *to)
{
    if (PyLong_CheckExact(given)) {
        *to = (int64_t)PyLong_AsUnsignedLongLongMask(given);
        return 1;
    }
    PyObject *number = PyNumber_Long(given);
    if (number == NULL) return 0;
    *to = (int64_t)PyLong_AsUnsignedLongLongMask(number);
    Py_DECREF(number);
    return 1;
}

static int real(PyObject *given, double *to)
{
    *to = PyFloat_AsDouble(given);
    return !(*to == -1.0 && PyErr_Occurred());
}

/* numba's, for arrays that lie as C lays them: what a kernel reshapes is no other. */
int numba_attempt_nocopy_reshape(int64_t nd, const int64_t *dims, const int64_t *strides,
    int64_t newnd, const int64_t *newdims, int64_t *newstrides, int64_t itemsize, int fortran)
{
    int64_t step = itemsize;
    for (int64_t i = nd - 1; i >= 0; i--) {
        if (dims[i] != 1 && strides[i] != step) return 0;
        step *= dims[i];
    }
    step = itemsize;
    for (int64_t i = newnd - 1; i >= 0; i--) {
        newstrides[i] = step;
        step *= newdims[i];
    }
    return !fortran;
}

static PyObject *wrong_count(Py_ssize_t wanted, Py_ssize_t n)
{
    return PyErr_Format(PyExc_TypeError, "kernel: takes %zd arguments, %zd given", wanted, n);
}

static PyObject *failed(const char *name, int status)
{
    return PyErr_Format(PyExc_RuntimeError, "kernel %s raised (%d)", name, status);
}
"""

FOOTER: Final = r"""
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "loalang_kernels", NULL, -1, methods};

PyMODINIT_FUNC PyInit_loalang_kernels(void)
{
    import_array();
    return PyModule_Create(&module);
}
"""


@dataclass(frozen=True, slots=True)
class Native:
    """One kernel as machine code."""

    name: str
    """`module.function`."""
    symbol: str
    signature: Any
    """numba's."""


def glue(kernels: list[Native]) -> str:
    """Return the C of a module that gives `kernels`."""
    functions = [_function(number, one) for number, one in enumerate(kernels)]
    rows = [
        f'    {{"{one.name}", (PyCFunction)(void (*)(void))call_{number}, METH_FASTCALL, NULL}},'
        for number, one in enumerate(kernels)
    ]
    table = "static PyMethodDef methods[] = {\n" + "\n".join(rows) + "\n    {NULL}\n};\n"
    return "\n".join((HEADER, *functions, table, FOOTER))


def _function(number: int, one: Native) -> str:
    """Return the C that calls one kernel."""
    kinds = list(one.signature.args)
    arguments = [_argument(i, kind) for i, kind in enumerate(kinds)]
    result, boxed = _result(one.signature.return_type)
    lines = "\n    ".join(argument.taken for argument in arguments)
    prototype = ", ".join(["void *", "void *", *(argument.declared for argument in arguments)])
    call = ", ".join(["&r", "&e", *(argument.passed for argument in arguments)])
    return f"""
extern int32_t f_{number}({prototype}) __asm__("{one.symbol}");
static PyObject *call_{number}(PyObject *self, PyObject *const *a, Py_ssize_t n)
{{
    if (n != {len(kinds)}) return wrong_count({len(kinds)}, n);
    {lines}
    {result}; void *e = NULL; int32_t s;
    Py_BEGIN_ALLOW_THREADS
    s = f_{number}({call});
    Py_END_ALLOW_THREADS
    if (s != 0 && s != -2) return failed("{one.name}", s);
    return {boxed};
}}"""


@dataclass(frozen=True, slots=True)
class _Argument:
    """One argument in C: how it is taken from Python, declared, and handed over."""

    taken: str
    declared: str
    passed: str


def _argument(i: int, kind: Any) -> _Argument:
    types, name = _types(), f"a{i}"
    if isinstance(kind, types.Array):
        return _array(i, kind)
    if isinstance(kind, types.Float):
        c = "double" if kind.bitwidth == 64 else "float"
        return _Argument(
            f"double {name}; if (!real(a[{i}], &{name})) return NULL;", c, f"({c}){name}"
        )
    if isinstance(kind, types.Boolean):
        taken = f"int {name} = PyObject_IsTrue(a[{i}]); if ({name} < 0) return NULL;"
        return _Argument(taken, "_Bool", f"{name} != 0")
    assert isinstance(kind, types.Integer), str(kind)
    c = _whole(kind)
    return _Argument(
        f"int64_t {name}; if (!whole(a[{i}], &{name})) return NULL;", c, f"({c}){name}"
    )


def _array(i: int, kind: Any) -> _Argument:
    letter, size = _item(kind.dtype)
    name, axes = f"a{i}", range(kind.ndim)
    wanted = f"'{letter}', {size}, {kind.ndim}, {int(kind.mutable)}"
    taken = f"PyArrayObject *{name} = taken(a[{i}], {wanted}); if ({name} == NULL) return NULL;"
    declared = ", ".join(["void *, void *, int64_t, int64_t, void *", *["int64_t"] * 2 * kind.ndim])
    passed = ["NULL, NULL", f"PyArray_SIZE({name})", f"{size}", f"PyArray_DATA({name})"]
    passed += [f"PyArray_DIM({name}, {axis})" for axis in axes]
    passed += [f"PyArray_STRIDE({name}, {axis})" for axis in axes]
    return _Argument(taken, declared, ", ".join(passed))


def _types() -> Any:
    """Return numba's kinds of values, which are loaded for nothing but a build."""
    return importlib.import_module("numba.core.types")


def _item(dtype: Any) -> tuple[str, int]:
    """Return numpy's letter for a kind of items, and their bytes."""
    from numba.np.numpy_support import as_dtype

    if isinstance(dtype, _types().Record):
        return "V", int(dtype.size)
    known = as_dtype(dtype)
    return known.kind, known.itemsize


def _whole(kind: Any) -> str:
    return f"{'' if kind.signed else 'u'}int{kind.bitwidth}_t"


def _result(kind: Any) -> tuple[str, str]:
    """Return the C that declares a result `r`, and that makes it Python's."""
    types = _types()
    if isinstance(kind, types.NoneType):
        return "void *r = NULL", "(Py_INCREF(Py_None), Py_None)"
    if isinstance(kind, types.Float):
        return ("double r" if kind.bitwidth == 64 else "float r") + " = 0", "PyFloat_FromDouble(r)"
    if isinstance(kind, types.Boolean):
        return "uint8_t r = 0", "PyBool_FromLong(r & 1)"
    if isinstance(kind, types.UniTuple):
        assert isinstance(kind.dtype, types.Integer) and kind.dtype.bitwidth == 64, str(kind)
        letters = "L" * kind.count
        values = ", ".join(f"(long long)r[{i}]" for i in range(kind.count))
        return f"int64_t r[{kind.count}] = {{0}}", f'Py_BuildValue("({letters})", {values})'
    assert isinstance(kind, types.Integer), str(kind)
    box = "PyLong_FromLongLong(r)" if kind.signed else "PyLong_FromUnsignedLongLong(r)"
    return f"{_whole(kind)} r = 0", box
