"""Deployment notes as executable runbooks that cannot lose their way back."""

__version__ = "0.1.0"
