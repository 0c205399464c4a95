//! Bootlace: the boot process of task pods, injected at admission.
