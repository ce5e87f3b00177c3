/* image.h - CPython's own tables inside a loaded ELF image, found by name. */
#ifndef CTASK_AGENT_IMAGE_H
#define CTASK_AGENT_IMAGE_H

#include <stdbool.h>

/** Where the functions of a type are kept before the type is made: NULL where it has none. */
struct ctask_type_tables {
	void **call, **dealloc, **init, **new; /**< where the pointer to the function is */
	struct py_method_def *methods;
};

/** What the agent replaces in the image that _asyncio or select is in. */
struct ctask_image_tables {
	struct ctask_type_tables task;
	struct ctask_type_tables step;	  /**< TaskStepMethWrapper: runs a step of a task */
	struct ctask_type_tables wakeup;  /**< TaskWakeupMethWrapper (3.8, 3.9) */
	struct py_method_def *wakeup_def; /**< task_wakeup (3.10 on) */
	struct py_method_def *set_running_loop;
	struct ctask_type_tables epoll; /**< select.epoll */
};

/**
 * Look through the writable data of the loaded image that @p address lies in.
 * Nothing of it is called or changed. False when it has neither module.
 */
bool ctask_image_find(const void *address, struct ctask_image_tables *ret);

/** Put @p function where *@p where is, also where the page is read-only by now. Returns what was there. */
void *ctask_image_replace(void **where, void *function);

#endif
