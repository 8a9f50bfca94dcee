"""Generated and damaged input to every parser of outside bytes: `make fuzz`.

odd.py (values and bytes that are hardly ever right) -> test_*.py, a few parsers each -> run.py, which counts
"""
