/* layout.h - where things lie in the memory of one version of CPython. */
#ifndef CTASK_READER_LAYOUT_H
#define CTASK_READER_LAYOUT_H

#include <stddef.h>
#include <stdint.h>

#include "model/error.h"

/** How a code object tells the line of an instruction. */
enum ctask_line_form {
	CTASK_LINES_LNOTAB,    /**< 3.8, 3.9: co_lnotab, pairs (address +, line signed) */
	CTASK_LINES_PEP626,    /**< 3.10: co_linetable, pairs (length, line signed) */
	CTASK_LINES_LOCATIONS, /**< 3.11 on: co_linetable, entries of varints (PEP 657) */
};

/** How a frame tells the top of its value stack. */
enum ctask_stack_form {
	CTASK_STACK_POINTER, /**< a pointer behind the topmost value */
	CTASK_STACK_DEPTH,   /**< a count of values above stack_base, a pointer (3.10) */
	CTASK_STACK_INDEX, /**< a count of slots above localsplus, locals included (3.11 to 3.13) */
};

/** Where an instance keeps its attributes when its type has a managed dict. */
enum ctask_dict_form {
	CTASK_DICT_OFFSET, /**< nowhere but at tp_dictoffset (to 3.10) */
	CTASK_DICT_311,	   /**< values pointer at -32, dict at -24 */
	CTASK_DICT_312,	   /**< one word at -24: odd = values pointer - 1, else dict */
	CTASK_DICT_INLINE, /**< dict at -24; values behind the object while they are valid (3.13 on) */
};

/** "This version has no such field." */
#define CTASK_NO_FIELD UINT32_MAX

/**
 * One version's layout: byte offsets unless a name says otherwise. The names
 * are CPython's own, `struct_member`. All fields are uint32_t, so that
 * layout_fields in layout.c can describe each with one row.
 */
struct ctask_layout {
	uint32_t minor; /**< 13 = Python 3.13 */

	/* _PyRuntimeState */
	uint32_t runtime_interpreters_head;

	/* PyInterpreterState */
	uint32_t interp_next, interp_id, interp_threads_head, interp_modules, interp_sysdict;
	uint32_t interp_asyncio_tasks_head; /* 3.14 on */

	/* PyThreadState, _PyThreadStateImpl */
	uint32_t tstate_next, tstate_thread_id, tstate_native_thread_id, tstate_dict;
	uint32_t tstate_frame; /* current frame, or (3.11, 3.12) the _PyCFrame that has it */
	uint32_t cframe_frame; /* 3.11, 3.12 */
	uint32_t tstate_asyncio_running_loop; /* 3.13 on */
	uint32_t tstate_asyncio_running_task; /* 3.14 on */
	uint32_t tstate_asyncio_tasks_head;   /* 3.14 on */
	uint32_t tstate_threading_local_key;  /* 3.13 on: the thread's key in local_dicts */

	/* PyTypeObject, PyHeapTypeObject */
	uint32_t type_name, type_basicsize, type_flags, type_members, type_base, type_dictoffset;
	uint32_t type_cached_keys;

	/* dict */
	uint32_t dict_keys, dict_values;
	uint32_t
		keys_log2_size; /* 3.11 on: byte at this place; before, dk_size (8 bytes) lies here */
	uint32_t keys_is_log2;			   /* not an offset: 1 from 3.11 on */
	uint32_t keys_log2_index_bytes, keys_kind; /* 3.11 on: bytes */
	uint32_t keys_nentries, keys_indices;
	uint32_t values_values; /* first value in a PyDictValues */
	uint32_t dict_form;	/* enum ctask_dict_form */

	/* str, int, float, bytes, tuple, list, set, weakref, deque */
	uint32_t str_length, str_state, str_ascii_data, str_compact_data;
	uint32_t long_is_tagged; /* not an offset: 1 from 3.12 on */
	uint32_t tuple_items, list_items, bytes_data, float_value;
	uint32_t set_mask, set_table, weakref_object;
	uint32_t deque_leftblock, deque_leftindex;

	/* code */
	uint32_t code_filename, code_name, code_qualname, code_firstlineno, code_linetable;
	uint32_t code_bytecode; /* 3.11 on: the code itself; before, a pointer to bytes */
	uint32_t code_locals;	/* tuple of names: co_localsplusnames, before 3.11 co_varnames */
	uint32_t code_cellvars, code_freevars; /* to 3.10 */
	uint32_t code_kinds;		       /* 3.11 on: bytes, one for each name */
	uint32_t line_form;		       /* enum ctask_line_form */

	/* frame: PyFrameObject to 3.10, _PyInterpreterFrame from 3.11 on */
	uint32_t frame_code, frame_previous, frame_lasti, frame_locals, frame_stack, frame_owner;
	uint32_t frame_stack_base; /* 3.10 */
	uint32_t frame_gen;	   /* to 3.10: the generator that the frame is of */
	uint32_t
		lasti_scale; /* to 3.10: bytes in one unit of f_lasti; 0 = frame_lasti is a pointer */
	uint32_t stack_form;   /* enum ctask_stack_form */
	uint32_t awaited_slot; /* the awaited object is this many slots below the top: 1, or 2 */
	uint32_t ref_tag_mask; /* tag bits in frame slots (_PyStackRef) */

	/* coroutine, generator, async generator share one layout */
	uint32_t gen_frame;	   /* pointer to the frame, or (3.11 on) the frame itself */
	uint32_t gen_frame_inline; /* not an offset: 1 from 3.11 on */
	uint32_t gen_state;	   /* 3.11 on: signed byte. To 3.10 it is in the frame: */
	uint32_t frame_state;	/* 3.10: signed byte; 3.8, 3.9: CTASK_NO_FIELD, see gen_running */
	uint32_t gen_running;	/* 3.8, 3.9: byte */
	uint32_t gen_exc_value; /* gi_exc_state.exc_value: the exception that it is handling */
	uint32_t state_created, state_executing;       /* as uint8_t of the signed byte */
	uint32_t state_suspended, state_suspended_end; /* first and last that mean suspended */
	uint32_t state_yield_from,
		state_yield_from_end; /* the same, at an await; 0xff00 = opcodes tell */
	uint32_t await_opcodes[3]; /* where opcodes tell: the next instruction is one of these … */
	uint32_t await_oparg_min;  /* … and (arg & 3) is at least this */

	/* function, method, builtin, cell, partial, module */
	uint32_t function_code, function_closure;
	uint32_t method_func, method_self, cfunction_ml, cfunction_self, cell_ref;
	uint32_t partial_func, partial_args, module_dict, module_state;

	/* _thread._local: to 3.12 its key leads through the dict of a thread, from 3.13 on it has all dicts */
	uint32_t local_key, localdummy_dict, local_dicts;

	/* _asyncio: FutureObj and TaskObj share their first part; the iterators */
	uint32_t task_loop, task_callback0, task_callbacks, task_state;
	uint32_t task_fut_waiter, task_coro, task_name, task_exception;
	uint32_t task_must_cancel, task_must_cancel_mask;
	uint32_t task_num_cancels_requested; /* 3.11 on */
	uint32_t task_node;		     /* 3.14 on */
	uint32_t task_size, future_size;
	uint32_t future_iter_future;
	uint32_t wakeup_task;	       /* 3.8, 3.9: TaskWakeupMethWrapper */
	uint32_t module_asyncio_debug; /* 3.14 on: in asyncio_state, a pointer to AsyncioDebug */
};

/** The rows that ctask has, ascending by minor. One per line of CPython 3.x, x86-64, with a GIL. */
extern const struct ctask_layout ctask_layout_table[];
extern const size_t ctask_layout_count;

/** The row of 3.@p minor, or NULL. */
const struct ctask_layout *ctask_layout_find(uint32_t minor);

/**
 * Overwrite @p layout with what the target itself says: @p table is the
 * _Py_DebugOffsets at the start of its _PyRuntime, @p len bytes that were read
 * from there (3.13 on, Include/internal/pycore_debug_offsets.h). Untrusted: each value is checked.
 * -EPROTO when the table is not of this minor version or a value cannot be.
 */
int ctask_layout_take_debug_offsets(struct ctask_layout *layout, const uint8_t *table, size_t len,
				    struct ctask_error *err);

/** The bytes of _Py_DebugOffsets for 3.@p minor; 0 when that version has none. */
size_t ctask_layout_debug_offsets_bytes(uint32_t minor);

/** Bytes of AsyncioDebug (3.14 on, Modules/_asynciomodule.c). */
enum { CTASK_ASYNCIO_DEBUG_BYTES = 104 };

/** The same from @p table, CTASK_ASYNCIO_DEBUG_BYTES long. */
int ctask_layout_take_asyncio_debug(struct ctask_layout *layout, const uint8_t *table,
				    struct ctask_error *err);

/** Largest objects that are copied whole. */
enum { CTASK_TASK_BYTES_MAX = 256, CTASK_FRAME_BYTES_MAX = 512 };

/** -EPROTO when a field lies outside of its object, or an object is larger than is believed. */
int ctask_layout_check(const struct ctask_layout *layout, struct ctask_error *err);

#endif
