/* discover.h - find the processes that can be looked into. */
#ifndef CTASK_CLI_DISCOVER_H
#define CTASK_CLI_DISCOVER_H

#include "model/error.h"
#include "model/processes.h"

/**
 * List the processes with a runtime that ctask knows, in order of their ids.
 * One that may not be read is listed when its names look like Python. A
 * process that ends meanwhile is left out. Fails only when /proc cannot be
 * read, or with -ENOMEM. The caller destroys the list.
 */
int ctask_discover(struct ctask_process_list **ret_list, struct ctask_error *err);
/** NULL is fine. */
void ctask_process_list_destroy(struct ctask_process_list *list);

#endif
