/* facts.h - what is known of a function that stands on a stack: its row, and what its names say. */
#ifndef CTASK_MODEL_FACTS_H
#define CTASK_MODEL_FACTS_H

#include <stdbool.h>
#include <stdint.h>

#include "model/origins.h"

/** A local variable, or an attribute of one, as a row names it: "self._when". */
struct ctask_local {
	int16_t slot;	    /**< among the frame's fast locals; -1: it has none of that name */
	char attribute[22]; /**< empty: the variable itself */
};

/** What is known of a code object. */
struct ctask_code_facts {
	void *code; /**< the code object, as the room that learnt of it knows it */
	const struct ctask_origin_row
		*row; /**< what it means on the stack of a cancel(), or NULL */
	struct ctask_local scope, delay, when, failed, exception,
		main;		 /**< as the row names them */
	uint32_t name, filename; /**< words */
	int first_line;
	uint16_t arguments; /**< positional parameters */
	uint16_t locals;    /**< local variables, parameters included */
	uint16_t slots;	    /**< of localsplus: the value stack begins behind them */
	uint16_t keyword_arguments;
	bool library;		/**< a file of the asyncio that is loaded */
	bool takes_rest;	/**< it has *args, in the slot behind all parameters */
	bool may_handle_signal; /**< it can have been called with a number and a frame */
	bool runs_loops;	/**< asyncio/base_events.py: what runs a loop, and its helpers */
	bool is_wait_for;	/**< asyncio.wait_for */
	bool is_group_exit;	/**< TaskGroup.__aexit__ and what it calls */
	int16_t flag; /**< of a library function that keeps in this local that it was cancelled; -1 */
	bool is_cancel; /**< a function called cancel: it may override Task.cancel */
	bool is_enter;	/**< __enter__ or __aenter__ */
	bool is_exit;	/**< __exit__, __aexit__, or what a group's calls */
};

/** Of a code object of which nothing is known. */
extern const struct ctask_code_facts ctask_no_facts;

/** What a code object is called. */
struct ctask_code_names {
	const char *plain;    /**< its function, without the classes round it */
	const char *filename; /**< whole path */
	const char *
		module; /**< the file within the loaded asyncio, "tasks.py"; NULL: not of asyncio */
};

/**
 * Fill in what the names say. Its parameters (arguments, keyword_arguments, takes_rest) are there already. @p slot_of tells
 * the slot of a local variable, -1 when it has none of that name.
 */
void ctask_facts_learn(struct ctask_code_facts *facts, const struct ctask_code_names *names,
		       int (*slot_of)(void *arg, const char *name), void *arg);
#endif
