//! The simulated Toggl API.
