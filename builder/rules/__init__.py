"""What `pixelis lint` holds a repository to: one module a subject, one function a rule."""
