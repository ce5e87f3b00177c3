/* hooks.h - the functions of _asyncio and select that the agent puts its own before. */
#ifndef CTASK_AGENT_HOOKS_H
#define CTASK_AGENT_HOOKS_H

/**
 * Hook the _asyncio or select in the loaded image that @p address lies in. Its tables are data, so this
 * needs no Python, and may come before any of its types is made. Again is harmless.
 */
void ctask_hooks_install(const void *address);

#endif
