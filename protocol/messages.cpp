#include "protocol/messages.h"

#include "protocol/base/check.h"

namespace zgrid::protocol {
namespace {

struct KindOf {
  Kind operator()(const Hello&) const { return Kind::hello; }
  Kind operator()(const Ready&) const { return Kind::ready; }
  Kind operator()(const Welcome&) const { return Kind::welcome; }
  Kind operator()(const Refused&) const { return Kind::refused; }
  Kind operator()(const Heartbeat&) const { return Kind::heartbeat; }
  Kind operator()(const Disconnect&) const { return Kind::disconnect; }
  Kind operator()(const Submit&) const { return Kind::submit; }
  Kind operator()(const SubmitAck&) const { return Kind::submit_ack; }
  Kind operator()(const Watch&) const { return Kind::watch; }
  Kind operator()(const WatchAck&) const { return Kind::watch_ack; }
  Kind operator()(const Results&) const { return Kind::results; }
  Kind operator()(const Events&) const { return Kind::events; }
  Kind operator()(const Cancel&) const { return Kind::cancel; }
  Kind operator()(const CancelAck&) const { return Kind::cancel_ack; }
  Kind operator()(const Query&) const { return Kind::query; }
  Kind operator()(const Answer&) const { return Kind::answer; }
  Kind operator()(const Control&) const { return Kind::control; }
  Kind operator()(const Retry&) const { return Kind::retry; }
  Kind operator()(const RetryAck&) const { return Kind::retry_ack; }
  Kind operator()(const Purge&) const { return Kind::purge; }
  Kind operator()(const Request&) const { return Kind::request; }
  Kind operator()(const Final&) const { return Kind::final_; }
  Kind operator()(const FinalAck&) const { return Kind::final_ack; }
  Kind operator()(const Partial&) const { return Kind::partial; }
  Kind operator()(const Abort&) const { return Kind::abort; }
  Kind operator()(const Recall&) const { return Kind::recall; }
  Kind operator()(const Released&) const { return Kind::released; }
  Kind operator()(const Started&) const { return Kind::started; }
};

}  // namespace

Kind kind_of(const Message& message) { return std::visit(KindOf{}, message); }

std::string_view message_name(Kind kind) {
  switch (kind) {
    case Kind::hello: return "HELLO";
    case Kind::ready: return "READY";
    case Kind::welcome: return "WELCOME";
    case Kind::refused: return "REFUSED";
    case Kind::heartbeat: return "HEARTBEAT";
    case Kind::disconnect: return "DISCONNECT";
    case Kind::submit: return "SUBMIT";
    case Kind::submit_ack: return "SUBMIT_ACK";
    case Kind::watch: return "WATCH";
    case Kind::watch_ack: return "WATCH_ACK";
    case Kind::results: return "RESULTS";
    case Kind::events: return "EVENTS";
    case Kind::cancel: return "CANCEL";
    case Kind::cancel_ack: return "CANCEL_ACK";
    case Kind::query: return "QUERY";
    case Kind::answer: return "ANSWER";
    case Kind::control: return "CONTROL";
    case Kind::retry: return "RETRY";
    case Kind::retry_ack: return "RETRY_ACK";
    case Kind::purge: return "PURGE";
    case Kind::request: return "REQUEST";
    case Kind::final_: return "FINAL";
    case Kind::final_ack: return "FINAL_ACK";
    case Kind::partial: return "PARTIAL";
    case Kind::abort: return "ABORT";
    case Kind::recall: return "RECALL";
    case Kind::released: return "RELEASED";
    case Kind::started: return "STARTED";
  }
  return "UNKNOWN";
}

std::string_view role_name(Role role) {
  switch (role) {
    case Role::none: return "none";
    case Role::broker: return "broker";
    case Role::worker: return "worker";
    case Role::client: return "client";
    case Role::readonly: return "readonly";
  }
  return "none";
}

bool may_send(Role role, Kind kind) {
  switch (kind) {
    case Kind::ready:
    case Kind::final_:
    case Kind::partial:
    case Kind::released:
    case Kind::started: return role == Role::worker;
    case Kind::hello:
    case Kind::watch:
    case Kind::query: return role == Role::client || role == Role::readonly;
    case Kind::submit:
    case Kind::cancel:
    case Kind::control:
    case Kind::retry:
    case Kind::purge: return role == Role::client;
    case Kind::heartbeat:
    case Kind::disconnect: return role != Role::none;
    case Kind::welcome:
    case Kind::refused:
    case Kind::submit_ack:
    case Kind::watch_ack:
    case Kind::results:
    case Kind::events:
    case Kind::cancel_ack:
    case Kind::retry_ack:
    case Kind::answer:
    case Kind::request:
    case Kind::final_ack:
    case Kind::abort:
    case Kind::recall: return false;  // only a broker says these
  }
  return false;
}

}  // namespace zgrid::protocol
