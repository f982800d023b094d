// What Debian's libzmq.a wants from libraries that zgrid never uses: OpenPGM and NORM (multicast)
// and Kerberos. Linked instead of them where libzmq is linked as an archive (cmake/static.cmake):
// they cost a program of some milliseconds a third of its time, libpgm's start alone reads
// /etc/protocols through every name service.
//
// None of it is ever called: check_endpoint() lets through tcp:// and ipc:// only, and every socket
// has CURVE. Linkage is C's, where a name says nothing of parameters.
#include <cstdio>
#include <cstdlib>

namespace {

[[noreturn]] void is_left_out(const char* name) {
  std::fprintf(stderr, "zgrid: bug: %s() is left out of this program\n", name);
  std::abort();
}

}  // namespace

#define ZGRID_LEFT_OUT(name) \
  [[noreturn]] void name() { is_left_out(#name); }

// NOLINTBEGIN(readability-identifier-naming): the names are theirs.
extern "C" {

// A context calls these two when it begins and ends; 1 is "done".
int pgm_init(void* /*error*/) { return 1; }
int pgm_shutdown() { return 1; }
ZGRID_LEFT_OUT(pgm_bind3)
ZGRID_LEFT_OUT(pgm_close)
ZGRID_LEFT_OUT(pgm_connect)
ZGRID_LEFT_OUT(pgm_error_free)
ZGRID_LEFT_OUT(pgm_free)
ZGRID_LEFT_OUT(pgm_freeaddrinfo)
ZGRID_LEFT_OUT(pgm_getaddrinfo)
ZGRID_LEFT_OUT(pgm_getsockopt)
ZGRID_LEFT_OUT(pgm_gsi_create_from_data)
ZGRID_LEFT_OUT(pgm_recvmsgv)
ZGRID_LEFT_OUT(pgm_send)
ZGRID_LEFT_OUT(pgm_setsockopt)
ZGRID_LEFT_OUT(pgm_socket)

void* NORM_INSTANCE_INVALID = nullptr;
void* NORM_SESSION_INVALID = nullptr;
void* NORM_OBJECT_INVALID = nullptr;
unsigned NORM_NODE_ANY = 0xffffffffu;
ZGRID_LEFT_OUT(NormCreateInstance)
ZGRID_LEFT_OUT(NormCreateSession)
ZGRID_LEFT_OUT(NormDestroyInstance)
ZGRID_LEFT_OUT(NormDestroySession)
ZGRID_LEFT_OUT(NormGetDescriptor)
ZGRID_LEFT_OUT(NormGetNextEvent)
ZGRID_LEFT_OUT(NormGetRandomSessionId)
ZGRID_LEFT_OUT(NormIsUnicastAddress)
ZGRID_LEFT_OUT(NormNodeDelete)
ZGRID_LEFT_OUT(NormObjectGetType)
ZGRID_LEFT_OUT(NormObjectGetUserData)
ZGRID_LEFT_OUT(NormObjectSetUserData)
ZGRID_LEFT_OUT(NormSetCongestionControl)
ZGRID_LEFT_OUT(NormSetDefaultSyncPolicy)
ZGRID_LEFT_OUT(NormSetDefaultUnicastNack)
ZGRID_LEFT_OUT(NormSetLoopback)
ZGRID_LEFT_OUT(NormSetMulticastInterface)
ZGRID_LEFT_OUT(NormSetRxPortReuse)
ZGRID_LEFT_OUT(NormSetTTL)
ZGRID_LEFT_OUT(NormStartReceiver)
ZGRID_LEFT_OUT(NormStartSender)
ZGRID_LEFT_OUT(NormStopInstance)
ZGRID_LEFT_OUT(NormStopReceiver)
ZGRID_LEFT_OUT(NormStopSender)
ZGRID_LEFT_OUT(NormStreamFlush)
ZGRID_LEFT_OUT(NormStreamOpen)
ZGRID_LEFT_OUT(NormStreamRead)
ZGRID_LEFT_OUT(NormStreamSeekMsgStart)
ZGRID_LEFT_OUT(NormStreamWrite)

void* GSS_C_NT_HOSTBASED_SERVICE = nullptr;
void* GSS_C_NT_USER_NAME = nullptr;
ZGRID_LEFT_OUT(gss_accept_sec_context)
ZGRID_LEFT_OUT(gss_acquire_cred)
ZGRID_LEFT_OUT(gss_delete_sec_context)
ZGRID_LEFT_OUT(gss_display_name)
ZGRID_LEFT_OUT(gss_import_name)
ZGRID_LEFT_OUT(gss_init_sec_context)
ZGRID_LEFT_OUT(gss_release_buffer)
ZGRID_LEFT_OUT(gss_release_cred)
ZGRID_LEFT_OUT(gss_release_name)
ZGRID_LEFT_OUT(gss_unwrap)
ZGRID_LEFT_OUT(gss_wrap)

}  // extern "C"
// NOLINTEND(readability-identifier-naming)
