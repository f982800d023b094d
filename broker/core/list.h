// A doubly linked list whose links live in its elements: removal from the middle costs nothing.
#pragma once

#include <cstddef>

#include "protocol/base/check.h"

namespace zgrid::broker {

template <class T>
struct Link {
  T* previous = nullptr;
  T* next = nullptr;
};

// Ownership: none. An element is in at most one list of each link.
template <class T, Link<T> T::*kLink>
class List {
 public:
  [[nodiscard]] bool empty() const { return first_ == nullptr; }
  [[nodiscard]] size_t size() const { return size_; }
  [[nodiscard]] T* front() const { return first_; }
  [[nodiscard]] T* back() const { return last_; }
  static T* next(const T* element) { return (element->*kLink).next; }
  static T* previous(const T* element) { return (element->*kLink).previous; }

  void push_back(T* element) { insert_after(last_, element); }
  void push_front(T* element) { insert_after(nullptr, element); }
  // Null: at the front.
  void insert_after(T* position, T* element) {
    Link<T>& link = element->*kLink;
    link.previous = position;
    link.next = position ? (position->*kLink).next : first_;
    (link.previous ? (link.previous->*kLink).next : first_) = element;
    (link.next ? (link.next->*kLink).previous : last_) = element;
    ++size_;
  }
  void remove(T* element) {
    ZGRID_CHECK(size_ > 0);
    Link<T>& link = element->*kLink;
    (link.previous ? (link.previous->*kLink).next : first_) = link.next;
    (link.next ? (link.next->*kLink).previous : last_) = link.previous;
    link = {};
    --size_;
  }

 private:
  T* first_ = nullptr;
  T* last_ = nullptr;
  size_t size_ = 0;
};

}  // namespace zgrid::broker
