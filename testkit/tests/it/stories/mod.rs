//! One file per story.

mod happy;
