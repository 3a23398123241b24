"""What a federated client's update gives away: loaders, gradient inversion, membership."""
