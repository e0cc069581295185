//! The rules that several checks of a scenario raise.

use crate::reading::rule::rules;

rules! {
    Error ZERO_TIME = "zero-time",
        "A time of 0 leaves nothing to happen in, and as a pause it makes a loop that never rests. Write a time such as \
        \"500ms\".";
    Error NOBODY_NAMED = "nobody-named",
        "The list is empty, so the claim says nothing: nobody has to survive, or earlyoom may select nobody, which looks \
        the same as an earlyoom that does nothing. Name at least one actor.";
    Error CONTRADICTION = "contradiction",
        "Two parts of the file cannot both hold: a minimum above the maximum, an actor that must be killed and must \
        survive, a victim that dies twice. Whatever the machine does, one of them fails. Remove the one that is not \
        meant.";
    Error IMPOSSIBLE_SIGNAL = "impossible-signal",
        "This killer does not end a process with that signal. The kernel's OOM killer and systemd-oomd send SIGKILL; \
        earlyoom sends SIGTERM at its first threshold and SIGKILL at its second; a process that exits by itself is \
        ended by none. Claim a signal that the killer sends, or leave it out.";
}
