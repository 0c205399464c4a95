//! The complete process of admission: from a review, or a pod alone, to the response.
//!
//! | module | content |
//! |---|---|
//! | `answer` | a review, from its body to the response |
//! | `single_pod` | a pod without a review |
//! | `decide` | the steps that both share |
//! | `decision` | their result |

mod answer;
mod decide;
mod decision;
mod single_pod;

pub use answer::{Answered, ReviewOutcome, Subject, review, review_with};
pub use decision::{AppliedOverlay, Decision, Injection, LookupResults, PendingLookup, Reordering};
pub use single_pod::{admit, admit_with, preview, preview_with};
