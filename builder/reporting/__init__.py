"""What is known of every form, as data, HTML and Markdown."""
