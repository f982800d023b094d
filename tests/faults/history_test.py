#!/usr/bin/env python3
"""The checker itself: each violation is made up once and must be found."""

import pathlib
import tempfile
import unittest

import history

A, B = "0190a000-0000-7000-8000-00000000000a", "0190a000-0000-7000-8000-00000000000b"


class Checker(unittest.TestCase):
    def verdict(self, *lines, starts=()):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "history"
            path.write_text("".join(line + "\n" for line in lines))
            return history.check(history.History(path), starts)

    def accepted(self, job=A):
        return (f"1 submit {job}", f"2 ack {job} queued 0")

    def test_a_job_that_ended_once_is_no_violation(self):
        verdict = self.verdict(*self.accepted(), f"3 result {A} 1 succeeded ann h",
                               f"4 final {A} 1 succeeded ann h",
                               starts=[{"job": A, "attempt": "1"}])
        self.assertEqual(verdict.violations, [])
        self.assertEqual((verdict.acked, verdict.ended["succeeded"]), (1, 1))

    def test_a_job_that_waits_is_pending_and_not_lost(self):
        verdict = self.verdict(*self.accepted(), f"5 pending {A} queued 4")
        self.assertEqual((verdict.violations, verdict.pending), ([], 1))

    def test_an_acknowledged_job_that_nobody_knows_is_lost(self):
        self.assertEqual(self.verdict(*self.accepted()).lost, [A])
        self.assertEqual(self.verdict(*self.accepted(), f"3 unknown {A}").lost, [A])
        self.assertEqual(self.verdict(*self.accepted(), f"3 result {A} 1 succeeded ann h",
                                      f"4 unknown {A}").lost, [A])

    def test_a_job_that_was_not_acknowledged_may_be_gone(self):
        verdict = self.verdict(f"1 submit {A}", f"2 refuse {A} queue_full 100 none")
        self.assertEqual((verdict.violations, verdict.refused), ([], 1))

    def test_two_different_results_are_accepted_twice(self):
        verdict = self.verdict(*self.accepted(), f"3 result {A} 1 succeeded ann h",
                               f"4 final {A} 1 succeeded ann other")
        self.assertEqual(len(verdict.twice), 1)

    def test_a_result_of_an_attempt_before_the_last_one_started_is_stale(self):
        starts = [{"job": A, "attempt": "1"}, {"job": A, "attempt": "2"}]
        result = f"3 result {A} 1 succeeded ann h"
        verdict = self.verdict(*self.accepted(), result, starts=starts)
        self.assertEqual((len(verdict.stale), len(verdict.restarted)), (1, 1))

    def test_only_what_was_not_acknowledged_may_be_forgotten_and_started_again(self):
        starts = [{"job": A, "attempt": "1"}, {"job": A, "attempt": "1"}]
        end = f"9 result {A} 1 succeeded ann h"
        verdict = self.verdict(f"1 submit {A}", "2 inject kill", f"3 ack {A} queued 0", end,
                               starts=starts)
        self.assertEqual((len(verdict.unpromised), verdict.restarted), (1, []))
        verdict = self.verdict(f"1 submit {A}", f"2 ack {A} queued 0", "3 inject kill", end,
                               starts=starts)
        self.assertEqual((verdict.unpromised, len(verdict.restarted)), ([], 1))

    def test_a_terminal_state_that_was_left_is_illegal(self):
        ended = f"3 result {A} 1 succeeded ann h"
        verdict = self.verdict(*self.accepted(), ended, f"6 status {A} running 2 5")
        self.assertEqual(len(verdict.illegal), 1)
        # Asked before the end, it may well be running.
        self.assertEqual(self.verdict(*self.accepted(), ended,
                                      f"6 status {A} running 1 2").illegal, [])

    def test_an_attempt_number_that_went_down_is_illegal(self):
        verdict = self.verdict(*self.accepted(), f"3 status {A} running 2 2",
                               f"6 status {A} running 1 5")
        self.assertEqual(len(verdict.illegal), 1)

    def test_an_unexplained_output_is_wrong(self):
        verdict = self.verdict(*self.accepted(B), f"3 wrong {B}", f"3 result {B} 1 failed ann h")
        self.assertEqual(verdict.violations, [f"wrong: {B}"])

    def test_half_a_line_at_the_end_is_none(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "history"
            path.write_text(f"1 submit {A}\n2 ack {A} que")
            self.assertEqual(history.check(history.History(path)).acked, 0)


if __name__ == "__main__":
    unittest.main()
