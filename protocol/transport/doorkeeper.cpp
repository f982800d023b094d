#include "protocol/transport/doorkeeper.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <exception>
#include <thread>

namespace zgrid::protocol::transport {
namespace {

// More than any backlog holds; so that a flood cannot keep us here.
constexpr int kTurnedAwayMax = 8192;
// Numbers for whoever is turned away, which are used one after the other.
constexpr int kRoom = 8;

struct Descriptors {
  size_t free = 0, reserve = 0;
};

Descriptors count_descriptors() {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  size_t used = 0;
  // Opening this folder takes a descriptor; without one to spare none is free.
  DIR* folder = ::opendir("/proc/self/fd");
  if (folder == nullptr) {
    used = errno == EMFILE || errno == ENFILE ? limit.rlim_cur : 0;
  } else {
    while (::readdir(folder) != nullptr) ++used;
    used -= std::min<size_t>(used, 3);  // ".", ".." and the folder's own
    ::closedir(folder);
  }
  const size_t all = limit.rlim_cur;
  return {all - std::min(all, used), std::min(Doorkeeper::kReserve, all / 4)};
}

int option(int fd, int name) {
  int value = 0;
  socklen_t size = sizeof value;
  return ::getsockopt(fd, SOL_SOCKET, name, &value, &size) == 0 ? value : -1;
}

bool is_tcp_listener(int fd) {
  const int domain = option(fd, SO_DOMAIN);
  return option(fd, SO_ACCEPTCONN) == 1 && (domain == AF_INET || domain == AF_INET6);
}

void drop_packets(int fd) {
  sock_filter nothing{BPF_RET | BPF_K, 0, 0, 0};
  const sock_fprog program{1, &nothing};
  ::setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program);
}

void pass_packets(int fd) {
  const int unused = 0;
  ::setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &unused, sizeof unused);
}

// Accepts and hangs up. By system calls, for tools that track descriptors (ThreadSanitizer) know
// of one table only.
void refuse_waiting(int listener) {
  for (int i = 0; i < kTurnedAwayMax; ++i) {
    const long newcomer = ::syscall(SYS_accept4, listener, nullptr, nullptr, SOCK_CLOEXEC);
    if (newcomer < 0) return;
    ::syscall(SYS_close, newcomer);
  }
}

// For a thread that ends then. It leaves the process's table of descriptors for a copy, in which it
// makes room, so that accept() has numbers to give: one that is set aside in the common table would
// be taken by libzmq, which asks all the time. Where that is forbidden it does what it can.
void turn_away_from(int listener) {
  if (::unshare(CLONE_FILES) == 0) {
    for (int fd = 0; fd < kRoom; ++fd) {
      if (fd != listener) ::syscall(SYS_close, fd);
    }
  }
  // In the copy the number cannot become another's any more. One that blocks would keep us here.
  if (!is_tcp_listener(listener) || (::fcntl(listener, F_GETFL) & O_NONBLOCK) == 0) return;
  drop_packets(listener);
  refuse_waiting(listener);
}

}  // namespace

void Doorkeeper::on_listening(int fd) {
  const std::lock_guard lock(mutex_);
  if (!is_tcp_listener(fd)) return;
  // libzmq accepts when epoll says so, and leaves the socket as it is. With two who accept, the
  // one that comes late would wait for ever.
  const int flags = ::fcntl(fd, F_GETFL);
  if (flags < 0 || ::fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0) return;
  listeners_.push_back(fd);
  if (is_closed_) drop_packets(fd);
}

void Doorkeeper::on_closed(int fd) {
  const std::lock_guard lock(mutex_);
  std::erase(listeners_, fd);
}

void Doorkeeper::on_accepted() {
  const std::lock_guard lock(mutex_);
  if (is_closed_ || unwatched_ > 0) {
    unwatched_ -= std::min<size_t>(unwatched_, 1);
    return;
  }
  const Descriptors now = count_descriptors();
  if (now.free <= now.reserve) return close_doors();
  unwatched_ = (now.free - now.reserve) / 2;
}

void Doorkeeper::on_accept_failed(int error) {
  if (error != EMFILE && error != ENFILE && error != ENOBUFS && error != ENOMEM) return;
  const std::lock_guard lock(mutex_);
  if (!is_closed_) return close_doors();
  if (std::chrono::steady_clock::now() - turned_away_at_ >= kTurnAwayEvery) turn_away();
}

void Doorkeeper::close_doors() {
  is_closed_ = true;
  unwatched_ = 0;
  turn_away();
}

// Those who wait already would still be accepted, one after the other, or tried for ever.
void Doorkeeper::turn_away() {
  for (const int fd : listeners_) {
    try {
      std::thread(turn_away_from, fd).join();
    } catch (const std::exception&) {  // no thread to be had; the next failure tries again
    }
  }
  turned_away_at_ = std::chrono::steady_clock::now();
}

void Doorkeeper::open_doors() {
  for (const int fd : listeners_) {
    if (is_tcp_listener(fd)) pass_packets(fd);
  }
  is_closed_ = false;
}

bool Doorkeeper::look(MonoTime now) {
  if (!is_closed_) return false;
  const std::lock_guard lock(mutex_);
  if (now < next_look_) return true;
  next_look_ = now + Micros(kLookEvery);
  const Descriptors left = count_descriptors();
  if (left.free < 2 * left.reserve) return true;
  open_doors();
  return false;
}

}  // namespace zgrid::protocol::transport
