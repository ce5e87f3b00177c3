/* trio_hooks.h - the functions of trio that the agent puts its own before. */
#ifndef CTASK_AGENT_TRIO_HOOKS_H
#define CTASK_AGENT_TRIO_HOOKS_H

/** Hook trio's functions, once. It is imported, and known. Needs the GIL. */
void ctask_trio_hooks_install(void);

#endif
