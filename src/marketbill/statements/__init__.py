"""Statements, fee invoices and the operator's reports: the books, put in front of people."""
