"""Ridge regression: the linear model that every network is compared with, fitted by normal equations."""
