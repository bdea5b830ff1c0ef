"""Files: layouts, encodings, growing ROOT files, arrays; readers and writers of each."""
