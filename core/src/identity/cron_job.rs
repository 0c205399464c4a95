//! Pods of a `Job` that a `CronJob` created.
//!
//! The pod only knows its Job, but the `CronJob` controller names the Job after the `CronJob` and the minute
//! for which it was scheduled, in minutes since 1970: `report-29412345`.
//! <https://github.com/kubernetes/kubernetes/blob/v1.36.0/pkg/controller/cronjob/cronjob_controllerv2.go>
//! (`getJobName`)

use super::{Identity, LabelMatcher, Scheduler, job, time};
use crate::pod::Pod;

/// The `CronJob` controller.
pub(super) struct CronJob;

/// This annotation is on the Job, not on its pods. It is used if someone copies it to them.
const ANNOTATION_SCHEDULED: &str = "batch.kubernetes.io/cronjob-scheduled-timestamp";

/// The minute of the release of Kubernetes 1.21, which introduced `batch/v1` `CronJob`s. No Job has an
/// earlier minute in its name, so a Job that is named after a day (`report-20260131`) is not mistaken for one
/// of a `CronJob`.
const FIRST_MINUTE: i64 = 26_964_000;

/// The name of the `CronJob`, and the minute.
fn parts(job: &str) -> Option<(&str, i64)> {
    let (name, digits) = job.rsplit_once('-')?;
    let minute = digits.parse().ok().filter(|minute| *minute >= FIRST_MINUTE && digits.len() == 8)?;
    (!name.is_empty()).then_some((name, minute))
}

impl Scheduler for CronJob {
    fn name(&self) -> &'static str {
        "cronjob"
    }

    fn title(&self) -> &'static str {
        "a Kubernetes CronJob"
    }

    fn recognises(&self, pod: &Pod<'_>) -> bool {
        job::name(pod).and_then(parts).is_some()
    }

    fn opt_in_label(&self) -> Option<LabelMatcher> {
        // As with Jobs: most are not tasks, so a task needs the label.
        None
    }

    fn main_container(&self, _pod: &Pod<'_>) -> Option<&'static str> {
        None
    }

    fn identity(&self, pod: &Pod<'_>) -> Identity {
        let job = job::name(pod);
        let parts = job.and_then(parts);
        let told = pod.annotations.get(ANNOTATION_SCHEDULED).and_then(time::from_rfc3339);
        Identity {
            scheduler: Some(self.name().to_owned()),
            workflow: parts.map(|(name, _)| name.to_owned()),
            // The Job is the run: there is one for each scheduled minute.
            run: job.map(str::to_owned),
            map_index: job::completion_index(pod),
            scheduled_time: told.or_else(|| time::from_unix_minutes(parts?.1)),
            ..Identity::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cron_jobs_job_is_told_from_others_by_its_name() {
        assert_eq!(parts("report-29412345"), Some(("report", 29_412_345)));
        assert_eq!(parts("daily-report-29412345"), Some(("daily-report", 29_412_345)));
        for other in ["report", "report-20260131", "report-7", "-29412345", "29412345", "report-+9412345"] {
            assert_eq!(parts(other), None, "{other}");
        }
    }
}
