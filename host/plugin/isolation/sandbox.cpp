#include "plugin/isolation/sandbox.hpp"

#include <fcntl.h>
#include <linux/landlock.h>
#include <seccomp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cstring>

#include <fmt/format.h>

#include "plugin/isolation/wire.hpp"

namespace patchbay::plugin::isolation {
namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitized = true;  // their shadow is terabytes of address space, and their runtimes do more by themselves
#else
constexpr bool kSanitized = false;
#endif

void limit(__rlimit_resource what, rlim_t value) {
  const rlimit both{value, value};
  ::setrlimit(what, &both);
}

// Of the file system: read below these folders. False: the kernel has no Landlock.
bool restrict_files(const std::vector<std::string>& readable) {
  landlock_ruleset_attr attributes{};
  // The rights of its first version, which every later kernel knows.
  attributes.handled_access_fs = (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1;
  const auto ruleset = static_cast<int>(::syscall(SYS_landlock_create_ruleset, &attributes, sizeof attributes, 0));
  if (ruleset < 0) return false;
  for (const auto& folder : readable) {
    landlock_path_beneath_attr rule{};
    rule.allowed_access = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR | LANDLOCK_ACCESS_FS_EXECUTE;
    rule.parent_fd = ::open(folder.c_str(), O_PATH | O_CLOEXEC);
    if (rule.parent_fd < 0) continue;
    ::syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
    ::close(rule.parent_fd);
  }
  const bool restricted = ::syscall(SYS_landlock_restrict_self, ruleset, 0) == 0;
  ::close(ruleset);
  return restricted;
}

class Filter {
 public:
  explicit Filter(std::uint32_t otherwise) : context_(seccomp_init(otherwise)) {}
  ~Filter() { seccomp_release(context_); }
  Filter(const Filter&) = delete;
  Filter& operator=(const Filter&) = delete;
  void add(std::uint32_t action, int call) { seccomp_rule_add(context_, action, call, 0); }
  bool load() { return context_ != nullptr && seccomp_load(context_) == 0; }
  [[nodiscard]] scmp_filter_ctx context() const { return context_; }

 private:
  scmp_filter_ctx context_;
};

// Written to from the handler of SIGSYS.
int report_descriptor = -1;

// What async-signal-safe code can do: one frame by send(), and the end.
void on_denied(int, siginfo_t* info, void*) {
  std::array<char, 64> frame{};
  const std::uint32_t size = 1 + sizeof(std::int64_t);
  const auto kind = static_cast<char>(Kind::denied);
  const std::int64_t call = info->si_syscall;
  std::memcpy(frame.data(), &size, sizeof size);
  frame[sizeof size] = kind;
  std::memcpy(frame.data() + sizeof size + 1, &call, sizeof call);
  static_cast<void>(::send(report_descriptor, frame.data(), sizeof size + size, MSG_NOSIGNAL));
  ::_exit(127);
}

constexpr std::array kNeverAllowed = std::to_array<int>({
    SCMP_SYS(socket), SCMP_SYS(socketpair), SCMP_SYS(connect), SCMP_SYS(bind), SCMP_SYS(listen), SCMP_SYS(accept), SCMP_SYS(accept4),
    SCMP_SYS(fork), SCMP_SYS(vfork), SCMP_SYS(execve), SCMP_SYS(execveat), SCMP_SYS(ptrace), SCMP_SYS(kill), SCMP_SYS(tkill),
    SCMP_SYS(process_vm_readv), SCMP_SYS(process_vm_writev), SCMP_SYS(mount), SCMP_SYS(unshare), SCMP_SYS(setns), SCMP_SYS(bpf),
    SCMP_SYS(io_uring_setup), SCMP_SYS(userfaultfd), SCMP_SYS(keyctl), SCMP_SYS(add_key), SCMP_SYS(perf_event_open)});

constexpr std::array kAllowed = std::to_array<int>({
    // memory
    SCMP_SYS(brk), SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(madvise), SCMP_SYS(mlock),
    // the one socket, and waiting for it
    SCMP_SYS(read), SCMP_SYS(write), SCMP_SYS(readv), SCMP_SYS(writev), SCMP_SYS(recvfrom), SCMP_SYS(recvmsg), SCMP_SYS(sendto),
    SCMP_SYS(sendmsg), SCMP_SYS(close), SCMP_SYS(shutdown), SCMP_SYS(fstat), SCMP_SYS(newfstatat), SCMP_SYS(lseek), SCMP_SYS(fcntl),
    SCMP_SYS(ioctl), SCMP_SYS(poll), SCMP_SYS(ppoll), SCMP_SYS(epoll_wait), SCMP_SYS(epoll_pwait), SCMP_SYS(epoll_ctl),
    SCMP_SYS(timerfd_settime), SCMP_SYS(timerfd_gettime), SCMP_SYS(futex), SCMP_SYS(nanosleep), SCMP_SYS(clock_nanosleep),
    SCMP_SYS(clock_gettime), SCMP_SYS(clock_getres), SCMP_SYS(gettimeofday), SCMP_SYS(time), SCMP_SYS(sched_yield),
    // its own end and signals
    SCMP_SYS(exit), SCMP_SYS(exit_group), SCMP_SYS(rt_sigaction), SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigreturn), SCMP_SYS(sigaltstack),
    SCMP_SYS(tgkill), SCMP_SYS(getpid), SCMP_SYS(gettid), SCMP_SYS(getrandom), SCMP_SYS(restart_syscall), SCMP_SYS(rseq),
    SCMP_SYS(set_robust_list), SCMP_SYS(prctl), SCMP_SYS(membarrier), SCMP_SYS(getrusage), SCMP_SYS(sched_getaffinity)});

}  // namespace

Result<std::vector<std::string>> restrict_before_loading(const SandboxLimits& limits, const std::string& readable) {
  std::vector<std::string> missing;
  limit(RLIMIT_CORE, 0);
  limit(RLIMIT_NOFILE, 64);
  if (limits.memory_bytes != 0 && !kSanitized) limit(RLIMIT_AS, limits.memory_bytes);
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return fail(Errc::unavailable, "the kernel does not take PR_SET_NO_NEW_PRIVS");
  if (!restrict_files({"/lib", "/lib64", "/usr/lib", "/usr/lib64", "/etc/ld.so.cache", readable})) missing.emplace_back("Landlock");
  Filter filter(SCMP_ACT_ALLOW);
  for (const auto call : kNeverAllowed) filter.add(SCMP_ACT_TRAP, call);
  if (!filter.load()) missing.emplace_back("seccomp");
  return missing;
}

Result<> restrict_after_loading(int report) {
  report_descriptor = report;
  struct sigaction action{};
  action.sa_sigaction = on_denied;
  action.sa_flags = SA_SIGINFO | SA_NODEFER;
  ::sigaction(SIGSYS, &action, nullptr);
  // Sanitizers read their own files and map what they like: there the first step's list stands, and opening is refused.
  if (kSanitized) {
    Filter filter(SCMP_ACT_ALLOW);
    for (const auto call : {SCMP_SYS(open), SCMP_SYS(openat), SCMP_SYS(openat2), SCMP_SYS(creat), SCMP_SYS(clone), SCMP_SYS(clone3)}) {
      filter.add(SCMP_ACT_TRAP, call);
    }
    return filter.load() ? Result<>() : fail(Errc::unavailable, "the kernel does not take a seccomp filter");
  }
  Filter filter(SCMP_ACT_TRAP);
  for (const auto call : kAllowed) filter.add(SCMP_ACT_ALLOW, call);
  // Memory, but no code.
  for (const auto call : {SCMP_SYS(mmap), SCMP_SYS(mprotect)}) {
    seccomp_rule_add(filter.context(), SCMP_ACT_ALLOW, call, 1, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
  }
  return filter.load() ? Result<>() : fail(Errc::unavailable, "the kernel does not take a seccomp filter");
}

}  // namespace patchbay::plugin::isolation
