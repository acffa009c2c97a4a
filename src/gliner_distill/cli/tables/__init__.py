"""Tables: files of rows with a column of texts, in and out, on this machine or on a cluster."""
