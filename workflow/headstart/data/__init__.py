"""Files of any source enter; the manifest, the frozen split and the decoded images leave."""
