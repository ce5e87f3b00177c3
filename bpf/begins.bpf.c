/* begins.bpf.c - for a recording of all processes: when one begins, becomes another program, is forked, ends. */
#include "bpf/kernel.bpf.h"
/* */
#include "bpf/events.h"

/* Maps of cancels.bpf.c: the loader has these stand for them. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct ctask_probe_target);
} targets SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, __u64);
	__type(value, __u64);
} threads SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} ring SEC(".maps");

__u64 lost;

static __always_inline void tell(__u32 kind, __u32 tgid)
{
	struct ctask_probe_event event = {
		.kind = kind,
		.bytes = sizeof(event),
		.time_ns = bpf_ktime_get_ns(),
		.tgid = tgid,
	};

	if (bpf_ringbuf_output(&ring, &event, sizeof(event), BPF_RB_NO_WAKEUP))
		__sync_fetch_and_add(&lost, 1);
}

/* A child has all that its parent has, at the same addresses: nothing of it is missed. */
SEC("raw_tp/sched_process_fork")
int on_fork(struct bpf_raw_tracepoint_args *ctx)
{
	struct task_struct *parent = (struct task_struct *)ctx->args[0];
	struct task_struct *child = (struct task_struct *)ctx->args[1];
	__u32 from = BPF_CORE_READ(parent, tgid), to = BPF_CORE_READ(child, tgid);
	struct ctask_probe_target *t;

	if (from == to) /* a thread */
		return 0;
	t = bpf_map_lookup_elem(&targets, &from);
	if (t)
		bpf_map_update_elem(&targets, &to, t, BPF_ANY);
	return 0;
}

SEC("raw_tp/sched_process_exec")
int on_exec(struct bpf_raw_tracepoint_args *ctx)
{
	__u32 tgid = bpf_get_current_pid_tgid() >> 32;

	(void)ctx;
	bpf_map_delete_elem(&targets, &tgid);
	tell(CTASK_PROBE_EXEC, tgid);
	return 0;
}

SEC("raw_tp/sched_process_exit")
int on_exit(struct bpf_raw_tracepoint_args *ctx)
{
	struct task_struct *task = (struct task_struct *)ctx->args[0];
	__u64 id = bpf_get_current_pid_tgid();
	__u32 tgid = id >> 32;

	bpf_map_delete_elem(&threads, &id);
	if (BPF_CORE_READ(task, signal, live.counter)) /* other threads go on */
		return 0;
	bpf_map_delete_elem(&targets, &tgid);
	tell(CTASK_PROBE_EXIT, tgid);
	return 0;
}

/* PyInit__asyncio(): a process is about to have tasks. */
SEC("uprobe")
int on_load(struct pt_regs *ctx)
{
	(void)ctx;
	tell(CTASK_PROBE_LOAD, bpf_get_current_pid_tgid() >> 32);
	return 0;
}

char ctask_license[] SEC("license") = "GPL";
