//! What the API promises beyond the recorded exchanges.
