"""Foreign wire formats, pure: shared by the engines that speak them and those who answer them."""
