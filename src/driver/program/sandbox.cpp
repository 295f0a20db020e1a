// SPDX-License-Identifier: Apache-2.0
#include "driver/program/sandbox.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <memory>

#include "driver/program/landlock.h"

namespace quipu::driver {
namespace {

#ifdef QUIPU_SANITIZED
constexpr bool kSanitized =
    true;  // the sanitizers' runtimes need calls that are refused, and a process that traces this one
#else
constexpr bool kSanitized = false;
#endif

// What threads, memory, files, sockets and timers need. Not on it, among others: execve, fork (clone is for threads
// only), ptrace, process_vm_*, kill of other processes, mount, setns, unshare, bpf, keyctl, modules, and changes of
// identity.
constexpr std::array kPermitted = {
    // memory
    SCMP_SYS(brk),
    SCMP_SYS(mmap),
    SCMP_SYS(munmap),
    SCMP_SYS(mremap),
    SCMP_SYS(mprotect),
    SCMP_SYS(madvise),
    SCMP_SYS(mlock),
    SCMP_SYS(mlock2),
    SCMP_SYS(munlock),
    SCMP_SYS(membarrier),
    SCMP_SYS(mincore),
    // files, of which confine_to_files() leaves few; open() is limited below
    SCMP_SYS(close),
    SCMP_SYS(read),
    SCMP_SYS(write),
    SCMP_SYS(readv),
    SCMP_SYS(writev),
    SCMP_SYS(pread64),
    SCMP_SYS(preadv),
    SCMP_SYS(lseek),
    SCMP_SYS(stat),
    SCMP_SYS(fstat),
    SCMP_SYS(lstat),
    SCMP_SYS(newfstatat),
    SCMP_SYS(statx),
    SCMP_SYS(statfs),
    SCMP_SYS(fstatfs),
    SCMP_SYS(access),
    SCMP_SYS(faccessat),
    SCMP_SYS(faccessat2),
    SCMP_SYS(readlink),
    SCMP_SYS(readlinkat),
    SCMP_SYS(getdents64),
    SCMP_SYS(getcwd),
    SCMP_SYS(dup),
    SCMP_SYS(dup2),
    SCMP_SYS(dup3),
    SCMP_SYS(pipe),
    SCMP_SYS(pipe2),
    // waiting and time
    SCMP_SYS(poll),
    SCMP_SYS(ppoll),
    SCMP_SYS(select),
    SCMP_SYS(pselect6),
    SCMP_SYS(epoll_create1),
    SCMP_SYS(epoll_create),
    SCMP_SYS(epoll_ctl),
    SCMP_SYS(epoll_wait),
    SCMP_SYS(epoll_pwait),
    SCMP_SYS(epoll_pwait2),
    SCMP_SYS(eventfd2),
    SCMP_SYS(timerfd_create),
    SCMP_SYS(timerfd_settime),
    SCMP_SYS(timerfd_gettime),
    SCMP_SYS(nanosleep),
    SCMP_SYS(clock_nanosleep),
    SCMP_SYS(clock_gettime),
    SCMP_SYS(clock_getres),
    SCMP_SYS(gettimeofday),
    SCMP_SYS(time),
    SCMP_SYS(restart_syscall),
    SCMP_SYS(pause),
    SCMP_SYS(rt_sigsuspend),
    // sockets, whose families are limited below
    SCMP_SYS(connect),
    SCMP_SYS(bind),
    SCMP_SYS(listen),
    SCMP_SYS(accept),
    SCMP_SYS(accept4),
    SCMP_SYS(sendto),
    SCMP_SYS(recvfrom),
    SCMP_SYS(sendmsg),
    SCMP_SYS(recvmsg),
    SCMP_SYS(sendmmsg),
    SCMP_SYS(recvmmsg),
    SCMP_SYS(shutdown),
    SCMP_SYS(getsockname),
    SCMP_SYS(getpeername),
    SCMP_SYS(setsockopt),
    SCMP_SYS(getsockopt),
    // threads and signals within the process
    SCMP_SYS(futex),
    SCMP_SYS(set_robust_list),
    SCMP_SYS(get_robust_list),
    SCMP_SYS(rseq),
    SCMP_SYS(set_tid_address),
    SCMP_SYS(sched_yield),
    SCMP_SYS(sched_getaffinity),
    SCMP_SYS(sched_getparam),
    SCMP_SYS(sched_getscheduler),
    SCMP_SYS(rt_sigaction),
    SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(rt_sigreturn),
    SCMP_SYS(rt_sigtimedwait),
    SCMP_SYS(sigaltstack),
    SCMP_SYS(exit),
    SCMP_SYS(exit_group),
    // asking about oneself
    SCMP_SYS(getpid),
    SCMP_SYS(gettid),
    SCMP_SYS(getppid),
    SCMP_SYS(getuid),
    SCMP_SYS(geteuid),
    SCMP_SYS(getgid),
    SCMP_SYS(getegid),
    SCMP_SYS(uname),
    SCMP_SYS(sysinfo),
    SCMP_SYS(getrlimit),
    SCMP_SYS(getrusage),
    SCMP_SYS(getcpu),
    SCMP_SYS(getrandom),
};

// Not AF_UNIX: daemons of this machine, the one that started this process among them, trust who connects by user id.
constexpr std::array kSocketFamilies = {AF_INET, AF_INET6, AF_NETLINK};

// Not F_SETOWN and F_SETSIG, by which the kernel sends any signal to any process of this user id, quipu-kmsd among
// them, nor locks, which other processes would wait for. F_SETFL is limited below.
constexpr std::array kDescriptorCommands = {F_DUPFD, F_DUPFD_CLOEXEC, F_GETFD, F_SETFD, F_GETFL};

// Not FIOSETOWN and SIOCSPGRP, which do what F_SETOWN does. SIOCGIFINDEX is for addresses such as fe80::1%eth0.
constexpr std::array kDeviceCommands = {FIONREAD, FIONBIO, FIOCLEX, FIONCLEX, TCGETS, SIOCGIFINDEX, SIOCGIFNAME};

// With none of these a file is read. Landlock's first version does not see O_TRUNC.
constexpr std::uint64_t kWritingFlags = O_ACCMODE | O_CREAT | O_TRUNC;

// What socket() and socketpair() take besides in their type.
constexpr std::uint64_t kSocketFlags = SOCK_CLOEXEC | SOCK_NONBLOCK;

struct FilterDeleter {
  void operator()(scmp_filter_ctx filter) const { seccomp_release(filter); }
};

using Filter = std::unique_ptr<void, FilterDeleter>;

// One argument compared; libseccomp's own macros are C.
int allow_if(scmp_filter_ctx filter, int call, const scmp_arg_cmp& condition) {
  return seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, call, 1, &condition);
}

scmp_arg_cmp equals(unsigned argument, std::uint64_t value) {
  return {argument, SCMP_CMP_EQ, value, 0};
}

scmp_arg_cmp has_none_of(unsigned argument, std::uint64_t flags) {
  return {argument, SCMP_CMP_MASKED_EQ, flags, 0};
}

int add_limited_file_calls(scmp_filter_ctx filter) {
  int failed = allow_if(filter, SCMP_SYS(open), has_none_of(1, kWritingFlags));
  failed |= allow_if(filter, SCMP_SYS(openat), has_none_of(2, kWritingFlags));
  for (const int command : kDescriptorCommands)
    failed |= allow_if(filter, SCMP_SYS(fcntl), equals(1, static_cast<unsigned>(command)));
  const std::array set_flags = {equals(1, F_SETFL), has_none_of(2, O_ASYNC)};
  failed |= seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, SCMP_SYS(fcntl), set_flags.size(), set_flags.data());
  for (const int command : kDeviceCommands)
    failed |= allow_if(filter, SCMP_SYS(ioctl), equals(1, static_cast<unsigned>(command)));
  return failed;
}

int add_limited_calls(scmp_filter_ctx filter) {
  int failed = add_limited_file_calls(filter);
  for (const int family : kSocketFamilies)
    failed |= allow_if(filter, SCMP_SYS(socket), equals(0, static_cast<unsigned>(family)));
  // A pair of streams stays a pair; a datagram socket of a pair can be connected to any other.
  const std::array stream_pair = {equals(0, AF_UNIX),
                                  scmp_arg_cmp{1, SCMP_CMP_MASKED_EQ, ~kSocketFlags & UINT32_MAX, SOCK_STREAM}};
  failed |=
      seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, SCMP_SYS(socketpair), stream_pair.size(), stream_pair.data());
  // Threads, not processes. The flags of clone3 are in memory, where a filter cannot see them: libraries fall back to
  // clone.
  failed |= allow_if(filter, SCMP_SYS(clone), {0, SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD});
  failed |= seccomp_rule_add_array(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0, nullptr);
  failed |= allow_if(filter, SCMP_SYS(prctl), equals(0, PR_SET_NAME));  // a thread's name
  failed |= allow_if(filter, SCMP_SYS(prlimit64), equals(2, 0));        // limits may be read
  // abort() and pthread_kill().
  return failed | allow_if(filter, SCMP_SYS(tgkill), equals(0, static_cast<unsigned>(::getpid())));
}

Result<void> filter_system_calls() {
  const Filter filter(seccomp_init(SCMP_ACT_ERRNO(EPERM)));
  if (filter == nullptr) return fail(Errc::io, "the system call filter could not be made");
  int failed = 0;
  // Calls that this architecture does not have are left out by libseccomp itself.
  for (const int call : kPermitted)
    failed |= seccomp_rule_add_array(filter.get(), SCMP_ACT_ALLOW, call, 0, nullptr);
  failed |= add_limited_calls(filter.get());
  if (failed != 0) return fail(Errc::io, "the system call filter could not be made");
  if (const int error = seccomp_load(filter.get()); error != 0)
    return fail_system("loading the system call filter", -error);
  return {};
}

Result<void> drop_capabilities() {
  for (unsigned long capability = 0; ::prctl(PR_CAPBSET_READ, capability) >= 0; ++capability)
    ::prctl(PR_CAPBSET_DROP, capability);  // fails without CAP_SETPCAP, and is then without effect anyway
  ::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3]{};
  if (::syscall(SYS_capset, &header, none) != 0) return fail_system("dropping capabilities");
  return {};
}

}  // namespace

Result<void> enter_sandbox(const std::string& plugin) {
  if (::prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) return fail_system("PR_SET_PDEATHSIG");
  const rlimit no_core{0, 0};
  if (::setrlimit(RLIMIT_CORE, &no_core) != 0) return fail_system("RLIMIT_CORE");
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return fail_system("PR_SET_NO_NEW_PRIVS");
  QUIPU_TRY(drop_capabilities());
  if (kSanitized) return {};
  if (::prctl(PR_SET_DUMPABLE, 0) != 0) return fail_system("PR_SET_DUMPABLE");
  QUIPU_TRY(confine_to_files(plugin));
  return filter_system_calls();
}

}  // namespace quipu::driver
