"""What lies on disk: keys, manifests, choices, locks; what is removed and what is put back."""
