/* check_refusal.c - why probes were refused: one sentence, from errno and what can be seen. */
#include "bpf/refusal.h"

#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/unit/made.h"

enum {
	BIT_PTRACE = 19,
	BIT_ADMIN = 21,
	BIT_RESOURCE = 24,
	BIT_PERFMON = 38,
	BIT_BPF = 39,
	BIT_RESTORE = 40
};

#define CAN(bit) (UINT64_C(1) << (bit))
#define ALL	 UINT64_C(0x1ffffffffff)
#define FEW	 (CAN(BIT_PERFMON) | CAN(BIT_BPF) | CAN(BIT_RESTORE))
/* A kernel that has everything. */
#define LINUX(number)                                                                              \
	.release = (number), .locked_most = UINT64_MAX, .has_types = true, .has_uprobes = true
#define GOOD LINUX(0x0612)

static const struct {
	const char *why;
	struct ctask_probe_facts facts;
	enum ctask_probe_step step;
	int code;
	const char *said;
	int want;
	const char *has, *has_not;
} refusals[] = {
	{ "nobody, a new kernel",
	  { GOOD },
	  CTASK_STEP_LOAD,
	  EPERM,
	  "",
	  -EPERM,
	  "CAP_SYS_ADMIN is missing",
	  "CAP_BPF" },
	{ "another user's process",
	  { GOOD },
	  CTASK_STEP_READ,
	  EPERM,
	  "",
	  -EPERM,
	  "CAP_SYS_ADMIN and CAP_SYS_PTRACE are missing",
	  "CAP_BPF" },
	{ "nobody, Linux 6.1",
	  { LINUX(0x0601) },
	  CTASK_STEP_LOAD,
	  EPERM,
	  "",
	  -EPERM,
	  "CAP_BPF, CAP_PERFMON and CAP_CHECKPOINT_RESTORE are missing",
	  "SYS_PTRACE are" },
	{ "another user's process, Linux 6.1",
	  { LINUX(0x0601) },
	  CTASK_STEP_READ,
	  EPERM,
	  "",
	  -EPERM,
	  "CAP_BPF, CAP_PERFMON, CAP_CHECKPOINT_RESTORE and CAP_SYS_PTRACE are missing",
	  NULL },
	{ "Linux 6.1, only CAP_PERFMON is missing",
	  { LINUX(0x0601), .capabilities = ALL & ~CAN(BIT_PERFMON) & ~CAN(BIT_ADMIN) },
	  CTASK_STEP_LOAD,
	  EPERM,
	  "",
	  -EPERM,
	  ": CAP_PERFMON is missing",
	  NULL },
	{ "an older kernel that asks for more all the same",
	  { LINUX(0x060c), .capabilities = FEW },
	  CTASK_STEP_ATTACH,
	  EACCES,
	  "",
	  -EPERM,
	  "CAP_SYS_ADMIN is missing",
	  "CAP_BPF" },
	{ "a container's root",
	  { GOOD, .capabilities = CAN(BIT_PTRACE) },
	  CTASK_STEP_LOAD,
	  EPERM,
	  "",
	  -EPERM,
	  "CAP_SYS_ADMIN is missing.*in a container.*--cap-add SYS_ADMIN",
	  NULL },
	{ "root, who may not trace",
	  { GOOD, .capabilities = ALL & ~CAN(BIT_PTRACE) },
	  CTASK_STEP_READ,
	  EPERM,
	  "",
	  -EPERM,
	  "CAP_SYS_PTRACE is missing",
	  "CAP_SYS_ADMIN is" },
	{ "root of a user namespace",
	  { GOOD, .capabilities = ALL, .in_user_namespace = true },
	  CTASK_STEP_LOAD,
	  EPERM,
	  "",
	  -EPERM,
	  "user namespace.*root of the host",
	  NULL },
	{ "the same, who reads",
	  { GOOD, .capabilities = ALL, .in_user_namespace = true },
	  CTASK_STEP_READ,
	  EPERM,
	  "",
	  -EPERM,
	  "user namespace",
	  NULL },
	{ "what the reader said, though no right is missing",
	  { GOOD, .capabilities = ALL },
	  CTASK_STEP_READ,
	  EPERM,
	  "",
	  -EPERM,
	  "as it was",
	  NULL },
	{ "little memory, Linux 5.10",
	  { .release = 0x050a,
	    .locked_most = 65536,
	    .has_types = true,
	    .has_uprobes = true,
	    .capabilities = ALL & ~CAN(BIT_RESOURCE) },
	  CTASK_STEP_LOAD,
	  EPERM,
	  "",
	  -EPERM,
	  "65536 bytes.*ulimit -l",
	  NULL },
	{ "little memory, where it does not count",
	  { .release = 0x0601, .locked_most = 65536, .capabilities = ALL & ~CAN(BIT_RESOURCE) },
	  CTASK_STEP_LOAD,
	  EPERM,
	  "",
	  -EPERM,
	  "security module",
	  "65536" },
	{ "seccomp",
	  { GOOD, .capabilities = ALL, .has_filter = true },
	  CTASK_STEP_ATTACH,
	  EPERM,
	  "",
	  -EPERM,
	  "seccomp filter",
	  "SELinux" },
	{ "SELinux",
	  { GOOD, .capabilities = ALL },
	  CTASK_STEP_ATTACH,
	  EACCES,
	  "",
	  -EPERM,
	  "SELinux",
	  NULL },
	{ "SELinux, who loads",
	  { GOOD, .capabilities = ALL },
	  CTASK_STEP_LOAD,
	  EPERM,
	  "",
	  -EPERM,
	  "SELinux",
	  NULL },
	{ "locked down",
	  { GOOD, .capabilities = ALL, .is_locked_down = true },
	  CTASK_STEP_LOAD,
	  EINVAL,
	  "",
	  -EPERM,
	  "locked down.*confidentiality.*lockdown=integrity",
	  NULL },
	{ "the verifier, whose word is EACCES",
	  { GOOD, .capabilities = ALL },
	  CTASK_STEP_LOAD,
	  EACCES,
	  "R1 invalid mem access 'scalar'\n",
	  -ENOSYS,
	  "does not take the probes.*R1 invalid mem access 'scalar'$",
	  "SELinux" },
	{ "the verifier of a kernel that is too old",
	  { .release = 0x0508, .has_types = true, .capabilities = ALL },
	  CTASK_STEP_LOAD,
	  EINVAL,
	  "",
	  -ENOSYS,
	  "Linux 5\\.8 is too old.*5\\.12",
	  NULL },
	{ "the first that is not too old",
	  { .release = 0x050c, .has_types = true, .capabilities = ALL },
	  CTASK_STEP_LOAD,
	  EINVAL,
	  "",
	  -ENOSYS,
	  "Invalid argument$",
	  "too old" },
	{ "no BTF",
	  { .release = 0x0612, .has_uprobes = true, .capabilities = ALL },
	  CTASK_STEP_LOAD,
	  ESRCH,
	  "failed to find valid kernel BTF\n",
	  -ENOSYS,
	  "/sys/kernel/btf/vmlinux.*CONFIG_DEBUG_INFO_BTF",
	  NULL },
	{ "no bpf()",
	  { GOOD, .capabilities = ALL },
	  CTASK_STEP_LOAD,
	  ENOSYS,
	  "",
	  -ENOSYS,
	  "CONFIG_BPF_SYSCALL",
	  NULL },
	{ "no uprobes",
	  { .release = 0x0612, .has_types = true, .capabilities = ALL },
	  CTASK_STEP_ATTACH,
	  ENOENT,
	  "",
	  -ENOSYS,
	  "CONFIG_UPROBE_EVENTS",
	  NULL },
	{ "a file that takes none",
	  { GOOD, .capabilities = ALL },
	  CTASK_STEP_ATTACH,
	  EIO,
	  "",
	  -ENOSYS,
	  "does not attach the probes: Input/output error$",
	  NULL },
};

static bool matches(const char *text, const char *pattern)
{
	regex_t regex;
	bool found;

	ck_assert_int_eq(regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB), 0);
	found = regexec(&regex, text, 0, NULL, 0) == 0;
	regfree(&regex);
	return found;
}

START_TEST(one_refusal)
{
	struct ctask_error err = { .code = EPERM, .text = "as it was" };
	struct ctask_probe_words words = { .text = "" };
	int ret;

	ctask_probe_words_add(&words, refusals[_i].said);
	ret = ctask_refusal(&refusals[_i].facts, refusals[_i].step, refusals[_i].code, &words,
			    &err);
	ck_assert_msg(ret == refusals[_i].want && err.code == -ret, "%s: %d, %d: %s",
		      refusals[_i].why, ret, err.code, err.text);
	ck_assert_msg(matches(err.text, refusals[_i].has), "%s: %s", refusals[_i].why, err.text);
	if (refusals[_i].has_not)
		ck_assert_msg(!matches(err.text, refusals[_i].has_not), "%s: %s", refusals[_i].why,
			      err.text);
	ck_assert_msg(!strchr(err.text, '\n') && strlen(err.text) < sizeof(err.text) - 1, "%s",
		      err.text);
}
END_TEST

static const struct {
	const char *why, *said, *want;
} sayings[] = {
	{ "nothing", "", "" },
	{ "one line", "libbpf: failed to find valid kernel BTF\n",
	  "failed to find valid kernel BTF" },
	{ "a line without an end", "libbpf: Error in bpf_object__probe_loading()",
	  "Error in bpf_object__probe_loading()" },
	{ "a log of the verifier",
	  "libbpf: prog 'on_cancel': -- BEGIN PROG LOAD LOG --\n0: R1=ctx() R10=fp0\n"
	  "; int on_cancel(struct pt_regs *ctx)\n7: (79) r1 = *(u64 *)(r2 +0)\nR2 invalid mem access 'scalar'\n"
	  "processed 8 insns (limit 1000000) max_states_per_insn 0\n-- END PROG LOAD LOG --\n",
	  "R2 invalid mem access 'scalar'" },
};

START_TEST(one_saying)
{
	struct ctask_probe_words words = { .text = "" };

	ctask_probe_words_add(&words, sayings[_i].said);
	ck_assert_str_eq(words.text, sayings[_i].want);
}
END_TEST

START_TEST(much_is_said)
{
	enum { LINES = 100000, LINE = 40 };
	struct ctask_probe_words words = { .text = "" };
	char *log = malloc(LINES * LINE + 400);
	size_t used = 0;

	for (int i = 0; i < LINES; i++)
		used += (size_t)sprintf(log + used, "%d: (bf) r1 = r2\n", i);
	sprintf(log + used, "the last\n");
	ctask_probe_words_add(&words, log);
	ck_assert_str_eq(words.text, "the last");
	memset(log, 'x', 399);
	log[399] = '\0';
	ctask_probe_words_add(&words, log);
	ck_assert_uint_eq(strlen(words.text), sizeof(words.text) - 1);
	free(log);
}
END_TEST

/* --- a kernel made of files --- */

static char root[64];

static void put(const char *name, const char *text)
{
	char path[256];
	FILE *file;

	snprintf(path, sizeof(path), "%s%s", root, name);
	for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		(void)mkdir(path, 0700);
		*slash = '/';
	}
	file = fopen(path, "w");
	ck_assert_ptr_nonnull(file);
	fputs(text, file);
	fclose(file);
}

static void make_root(void)
{
	strcpy(root, "/tmp/check_refusal.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(root));
}

static void remove_root(void)
{
	char command[80];

	snprintf(command, sizeof(command), "rm -r %s", root);
	ck_assert_int_eq(system(command), 0);
}

START_TEST(nothing_to_be_seen)
{
	struct ctask_probe_facts facts;

	ctask_probe_facts_look(root, &facts);
	ck_assert(!facts.capabilities && !facts.release && !facts.has_types && !facts.has_uprobes &&
		  !facts.is_locked_down && !facts.in_user_namespace && !facts.has_filter);
	ck_assert_uint_eq(facts.locked_most, UINT64_MAX);
}
END_TEST

START_TEST(all_to_be_seen)
{
	struct ctask_probe_facts facts;

	put("/proc/self/status",
	    "Name:\tctaskctl\nCapPrm:\t0000000000000000\nCapEff:\t000001c000080000\nSeccomp:\t2\n");
	put("/proc/self/limits",
	    "Limit                     Soft Limit           Hard Limit           Units     \n"
	    "Max locked memory         65536                65536                bytes     \n");
	put("/proc/self/uid_map", "         0       1000          1\n");
	put("/proc/sys/kernel/osrelease", "5.10.0-28-amd64\n");
	put("/sys/kernel/security/lockdown", "none integrity [confidentiality]\n");
	put("/sys/kernel/btf/vmlinux", "");
	put("/sys/bus/event_source/devices/uprobe/type", "8\n");
	ctask_probe_facts_look(root, &facts);
	ck_assert_uint_eq(facts.capabilities, FEW | CAN(BIT_PTRACE));
	ck_assert_uint_eq(facts.locked_most, 65536);
	ck_assert_uint_eq(facts.release, 0x050a);
	ck_assert(facts.in_user_namespace && facts.has_filter && facts.is_locked_down &&
		  facts.has_types && facts.has_uprobes);
}
END_TEST

START_TEST(a_host_that_forbids_nothing)
{
	struct ctask_probe_facts facts;

	put("/proc/self/status", "CapEff:\t000001ffffffffff\nSeccomp:\t0\n");
	put("/proc/self/limits",
	    "Max locked memory         unlimited            unlimited            bytes     \n");
	put("/proc/self/uid_map", "         0          0 4294967295\n");
	put("/sys/kernel/security/lockdown", "none [integrity] confidentiality\n");
	ctask_probe_facts_look(root, &facts);
	ck_assert_uint_eq(facts.capabilities, ALL);
	ck_assert_uint_eq(facts.locked_most, UINT64_MAX);
	ck_assert(!facts.in_user_namespace && !facts.has_filter && !facts.is_locked_down);
}
END_TEST

int main(void)
{
	TCase *tests = tcase_create("refusal");

	tcase_add_checked_fixture(tests, make_root, remove_root);
	tcase_add_loop_test(tests, one_refusal, 0, ARRAY_SIZE(refusals));
	tcase_add_loop_test(tests, one_saying, 0, ARRAY_SIZE(sayings));
	tcase_add_test(tests, much_is_said);
	tcase_add_test(tests, nothing_to_be_seen);
	tcase_add_test(tests, all_to_be_seen);
	tcase_add_test(tests, a_host_that_forbids_nothing);
	return made_run("refusal", tests);
}
